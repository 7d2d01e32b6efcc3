"""Patches and superpixels: against plain loops, and whole photographs explained by them."""

import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pyxai.attribution import FeatureAblation, GreedyPIG
from pyxai.greedy import path_nodes, round_sizes
from pyxai.masks import patches, sum_groups, superpixels

WIDE = torch.float64


def photograph(name):
    """Return a photograph that ships with scikit-learn, [1, 3, 427, 640], in [0, 1]."""
    image = importlib.import_module("sklearn.datasets").load_sample_image(name)
    return torch.tensor(image, dtype=WIDE).permute(2, 0, 1)[None] / 255


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 5)),
        ).to(WIDE)


@pytest.mark.parametrize(("height", "width", "size"), [(6, 4, 2), (7, 5, (3, 2)), (3, 3, 3)])
def test_patches_equal_a_plain_loop(height, width, size):
    down, across = (size, size) if isinstance(size, int) else size
    expected, number = torch.full((height, width), -1), 0
    for top in range(0, height, down):
        for left in range(0, width, across):
            expected[top : top + down, left : left + across] = number
            number += 1
    for images in (torch.zeros(2, 3, height, width), (height, width), torch.Size([height, width])):
        assert torch.equal(patches(images, size), expected[None, None])


def test_a_patch_is_hidden_with_all_of_its_channels():
    x = torch.arange(2.0 * 3 * 4 * 6).view(2, 3, 4, 6)
    found = FeatureAblation(lambda x: x.sum((1, 2, 3))).attribute(x, feature_mask=patches(x, 2))
    sums = nn.functional.avg_pool2d(x, 2).sum(1, keepdim=True) * 4
    expected = sums.repeat_interleave(2, 2).repeat_interleave(2, 3).expand_as(x)
    torch.testing.assert_close(found, expected)


def plain_order(model, x, owners, sizes, n_steps):
    """Greedy PIG on the probability of class 1, one node and one round at a time."""
    count, order = int(owners.max()) + 1, []
    nodes, weights = path_nodes("midpoint", n_steps)
    for size in sizes:
        shown = torch.isin(owners, torch.tensor(order, dtype=torch.int64))
        scores = torch.zeros(count, dtype=x.dtype)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            point = torch.where(shown, x, node * x).requires_grad_()
            (gradient,) = torch.autograd.grad(model(point).softmax(1)[0, 1], point)
            share = weight * (gradient * x).sum(1).flatten()
            scores.index_add_(0, owners.flatten(), share)
        scores[order] = -torch.inf
        order += scores.sort(descending=True, stable=True).indices[:size].tolist()
    return order


def test_greedy_pig_of_a_whole_photograph():
    x, model = photograph("china.jpg"), network()
    owners = patches(x, 32)
    count = int(owners.max()) + 1
    assert count == 14 * 20
    result = GreedyPIG(model).select(
        x, target=1, feature_mask=owners, n_steps=2, n_select=32, with_values=True
    )
    expected = plain_order(model, x, owners[0, 0], round_sizes("geometric", count, 32), 2)
    assert result.order[0].tolist() == expected
    shown = torch.where(torch.isin(owners, torch.tensor(expected)), x, 0.0)
    torch.testing.assert_close(result.values[0, -1], model(shown).softmax(1)[0, 1].detach())


def test_superpixels_are_connected_and_numbered():
    measure = importlib.import_module("scipy.ndimage")
    images = torch.cat([photograph("china.jpg"), photograph("flower.jpg")])[..., ::4, ::4]
    found = superpixels(images, 60)
    assert found.shape == (2, 1, 107, 160)
    for image, mask in zip(images, found, strict=True):
        assert torch.equal(superpixels(image[None], 60)[0], mask)
        bright = (image * 255).to(torch.uint8)[None]
        assert torch.equal(superpixels(bright, 60), superpixels(bright.float() / 100, 60))
        numbers = mask.unique().tolist()
        assert numbers == list(range(len(numbers)))
        assert 20 < len(numbers) < 120
        for number in numbers:
            assert measure.label((mask[0] == number).numpy())[1] == 1
    model = network()
    ranks = GreedyPIG(model).attribute(images, target=1, feature_mask=found, n_steps=2)
    for row, mask in zip(ranks, found[:, 0], strict=True):
        pairs = torch.stack([mask.expand_as(row).double(), row]).flatten(1).unique(dim=1)
        count = int(mask.max()) + 1
        assert sorted(pairs[1].tolist()) == list(range(1, count + 1))  # one rank for each


def test_superpixels_follow_edges():
    halves = torch.zeros(1, 3, 20, 30)
    halves[..., 13:] = 200.0
    found = superpixels(halves, 8)
    assert not set(found[..., :13].unique().tolist()) & set(found[..., 13:].unique().tolist())
    for images in (halves[:, :1], halves.expand(2, 3, 20, 30)[:, :, :, :12]):  # grey; of one colour
        assert superpixels(images, 4).shape == (len(images), 1, *images.shape[2:])


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ImportError, match=r'"\.\[regions\]"; or make a feature_mask'):
        superpixels(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (patches, (torch.zeros(5), 2), ValueError, r"images must have a height and a width, got"),
        (patches, (7, 2), TypeError, "images must be a tensor or a shape, got 7"),
        (patches, ((4, 6), 0), ValueError, "size must be at least 1, got 0"),
        (patches, ((4, 6), (5, 2)), ValueError, r"the images, \[4, 6\], got \[5, 2\]"),
        (patches, ((4, 6), (2, 2, 2)), TypeError, "size must be an integer or a pair of integers"),
        (patches, ((4, 6), 1.5), TypeError, "size must be an integer or a pair of integers"),
        (superpixels, (np.zeros((1, 3, 4, 4)),), TypeError, "images must be a tensor"),
        (superpixels, (torch.zeros(3, 4, 4),), ValueError, r"images must have shape \[batch"),
        (superpixels, (torch.full((1, 1, 4, 4), torch.nan),), ValueError, "images must be finite"),
        (superpixels, (torch.zeros(1, 1, 4, 4), 0), ValueError, "n_segments must be at least 1"),
    ],
)
def test_errors(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)
    with pytest.raises(ValueError, match="compactness must be positive, got -1"):
        superpixels(torch.zeros(1, 1, 4, 4), compactness=-1)


def plain_sums(parts, masks):
    """Add up the features of each group, one number after the other."""
    ids = sorted({int(number) for mask in masks for number in mask.flatten()})
    sums = torch.zeros(len(parts[0]), len(ids), dtype=WIDE)
    for part, mask in zip(parts, masks, strict=True):
        owners = mask.expand(part.shape)
        for row in range(len(part)):
            for value, owner in zip(part[row].flatten(), owners[row].flatten(), strict=True):
                sums[row, ids.index(int(owner))] += value.double()
    return sums, ids


MASKS_OF_TWO = {  # of inputs [4, 5] and [4, 2, 3]
    "one for all": (torch.tensor([[7, 0, 0, 2, 7]]), torch.tensor([[[2], [5]]])),
    "one for each": (torch.arange(20).view(4, 5) % 6, torch.arange(4).view(4, 1, 1) + 2),
    "mixed": (torch.tensor([0, 0, 3, 3, 3]), torch.arange(24).view(4, 2, 3) // 5),
    "of float": (torch.zeros(1, 5), torch.tensor([1.0, 2.0, 0.0])),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masks", MASKS_OF_TWO.values(), ids=list(MASKS_OF_TWO))
def test_groups_of_two_inputs_get_the_sums_of_a_plain_loop(masks, dtype):
    generator = torch.Generator().manual_seed(0)
    parts = tuple(
        torch.randn(4, *size, generator=generator, dtype=dtype) for size in [(5,), (2, 3)]
    )
    expected, ids = plain_sums(parts, masks)
    sums = sum_groups(parts, masks, return_input_shape=False)
    assert sums.dtype == dtype
    torch.testing.assert_close(sums, expected.to(dtype), rtol=1e-6, atol=1e-7)
    for part, mask, spread in zip(parts, masks, sum_groups(parts, masks), strict=True):
        assert (spread.shape, spread.dtype) == (part.shape, dtype)
        columns = torch.searchsorted(torch.tensor(ids), mask.long().expand(part.shape).contiguous())
        assert torch.equal(spread.flatten(1), sums.gather(1, columns.flatten(1)))
    for row in range(4):
        one = slice(row, row + 1)
        own = tuple(mask if len(mask) != 4 else mask[one] for mask in masks)
        alone = sum_groups(tuple(part[one] for part in parts), own)
        assert all(map(torch.equal, alone, (each[one] for each in sum_groups(parts, masks))))


def test_features_alone_keep_what_they_have():
    values = torch.tensor([[0.1, -0.0, 1e30, 5.0], [1e-30, -1e38, 3.0, -2.0]])
    alone = torch.arange(4)[None]
    for found in (sum_groups(values, alone), sum_groups(values, alone, return_input_shape=False)):
        torch.testing.assert_close(found, values, rtol=0, atol=0)
    assert sum_groups([values], [alone])[0].shape == values.shape  # a list is a tuple
    for empty in (values[:0], values[:, :0]):
        assert sum_groups(empty, alone[:, : empty.shape[1]]).shape == empty.shape


def test_many_small_numbers_are_not_lost_beside_a_large_one():
    values = torch.full((1, 4097), 1e-4)
    values[0, 0] = 1e4
    sums = sum_groups(values, torch.zeros(1, 1), return_input_shape=False)
    torch.testing.assert_close(sums, torch.tensor([[1e4 + 0.4096]]), rtol=1e-7, atol=0)


def test_sums_that_a_narrow_dtype_cannot_hold_are_float32():
    values = torch.full((1, 4), 3e4, dtype=torch.float16, requires_grad=True)
    sums = sum_groups(values, torch.zeros(1, 1))
    assert not sums.requires_grad
    torch.testing.assert_close(sums, torch.full((1, 4), 1.2e5), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"feature_mask": None}, TypeError, "feature_mask must be a tensor or a tuple of tensors"),
        ({"feature_mask": torch.tensor([0, -1, 0])}, ValueError, "feature_mask must hold ids of"),
        ({"feature_mask": torch.tensor([0, 0.5, 1])}, TypeError, "feature_mask must hold integer"),
        ({"feature_mask": torch.zeros(1, 2)}, ValueError, "feature_mask must broadcast to shape"),
        ({"feature_mask": (torch.zeros(3),) * 2}, ValueError, "feature_mask must have 1 entries"),
        ({"attributions": torch.ones(2, 3).int()}, TypeError, "attributions must be floating po"),
        ({"attributions": torch.full((2, 3), torch.nan)}, ValueError, "attributions must be finit"),
        ({"attributions": ()}, ValueError, "attributions must hold at least one tensor"),
        ({"attributions": torch.tensor(1.0)}, ValueError, "attributions must have a row for each"),
        ({"attributions": "none"}, TypeError, "attributions must be a tensor"),
        ({"return_input_shape": 1}, TypeError, "return_input_shape must be True or False"),
    ],
)
def test_sums_of_what_has_no_groups_are_refused(changes, error, message):
    given = {"attributions": torch.ones(2, 3), "feature_mask": torch.tensor([0, 0, 1]), **changes}
    with pytest.raises(error, match=message):
        sum_groups(given.pop("attributions"), **given)
