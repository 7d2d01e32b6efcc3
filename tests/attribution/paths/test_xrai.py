"""Regions against the authors' package; superpixels of a photograph as players of Greedy PIG."""

import importlib
import sys

import numpy as np
import pytest
import torch
from captum_peer import conv, mlp, rows
from sklearn.datasets import load_sample_image
from torch import nn

from pyxai.attribution import XRAI, GreedyPIG, IntegratedGradients
from pyxai.attribution.paths.regions import grow_regions, image_segments

WIDE = torch.float64
GIVEN = torch.zeros(2, 2, 7, 8)


@pytest.fixture(scope="module")
def peer():
    from saliency.core import xrai

    return xrai


@pytest.fixture(scope="module")
def photograph():
    """Return a part of a photograph that ships with scikit-learn, [3, 60, 80]."""
    flower = load_sample_image("flower.jpg")
    return torch.tensor(flower[100:340:4, 200:520:4], dtype=WIDE).permute(2, 0, 1) / 255


@pytest.fixture(scope="module")
def segments(photograph):
    return image_segments(photograph)


@pytest.mark.parametrize("min_pixels", [1, 5])
@pytest.mark.parametrize("area", [0.4, 1.0])
def test_regions_equal_the_authors_package(peer, min_pixels, area):
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(9, 11, generator=draw, dtype=WIDE)
    masks = torch.rand(14, 9, 11, generator=draw) < 0.2
    masks[:, 0] = False  # a line that no segment covers
    theirs, _ = peer.XRAI._xrai(
        pixels.numpy(), list(masks.numpy()), area_perc_th=area, min_pixel_diff=min_pixels
    )
    ours = grow_regions(pixels, masks, min_pixels, area)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-14)


def test_regions_of_a_photograph_equal_the_authors_package(peer, photograph, segments):
    draw = torch.Generator().manual_seed(0)
    pixels = photograph.amax(0) * torch.randn(60, 80, generator=draw, dtype=WIDE)
    theirs, _ = peer.XRAI._xrai(pixels.numpy(), list(segments.numpy()), min_pixel_diff=50)
    ours = grow_regions(pixels, segments, 50, 1.0)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
@pytest.mark.filterwarnings("error")
def test_any_number_of_channels_is_segmented_in_silence(channels):
    assert bool(image_segments(rows(channels, 20, 24)).any(0).all())


def test_segments_equal_the_authors_package(peer, photograph, segments):
    theirs = peer._get_segments_felzenszwalb(photograph.permute(1, 2, 0).numpy())
    assert torch.equal(segments, torch.from_numpy(np.stack(theirs).astype(bool)))
    assert bool(segments.any(0).all())  # together they cover the image
    flat = image_segments(torch.full((3, 7, 8), 0.5))
    assert torch.equal(flat, torch.ones(1, 7, 8, dtype=torch.bool))


def test_default_is_integrated_gradients_from_both_ends_of_the_range():
    model, x = conv(WIDE), rows(2, 2, 7, 8, dtype=WIDE)
    labels = torch.arange(7)[:, None] // 3 * 4 + torch.arange(8) // 2
    ours = XRAI(model).attribute(x, target=1, segments=labels, min_pixels=1, n_steps=20)
    ends = (x.flatten(1).amin(1), x.flatten(1).amax(1))
    pixels = sum(
        IntegratedGradients(model).attribute(
            x, end.view(2, 1, 1, 1).expand_as(x), target=1, n_steps=20, method="midpoint"
        )
        for end in ends
    )
    pixels = (pixels / 2).amax(1)
    for row in range(2):  # without overlap a region is a segment, whatever the order
        for label in labels.unique():
            inside = labels == label
            expected = pixels[row][inside].mean()
            assert ours[row][:, inside].std() < 1e-12
            torch.testing.assert_close(ours[row][:, inside].mean(), expected)


def test_forms_of_segments_agree():
    model, x = conv(WIDE), rows(2, 2, 7, 8, dtype=WIDE)
    labels = torch.arange(7)[:, None] // 3 * 4 + torch.arange(8) // 2
    masks = labels == torch.arange(12)[:, None, None]
    call = {"target": 0, "min_pixels": 1, "n_steps": 5}
    gather = {"target": 0, "min_pixels": 1}
    expected = XRAI(model).attribute(x, segments=labels, **call)
    for form in (labels.expand(2, 7, 8), [labels, labels], masks, [masks, masks]):
        assert torch.equal(XRAI(model).attribute(x, segments=form, **call), expected)
    given = IntegratedGradients(model).attribute(x, 0.0, target=0, n_steps=5, method="midpoint")
    from_zero = XRAI(model).attribute(x, 0.0, segments=labels, **call)
    gathered = XRAI(model).attribute(x, segments=labels, attributions=given, **gather)
    torch.testing.assert_close(from_zero, gathered)


class Bright(nn.Module):
    """How red and how green the parts of an image are; two classes."""

    def forward(self, x):
        means = nn.functional.avg_pool2d(x, 4)
        return 30 * torch.stack([means[:, 0].relu().mean((1, 2)), means[:, 1].mean((1, 2))], 1)


def test_a_photograph(photograph):
    x = photograph[None]
    regions = XRAI(Bright()).attribute(x, target=0, n_steps=5)
    assert regions.shape == x.shape
    red = regions[0, 0] >= regions[0, 0].quantile(0.9)
    assert photograph[0][red].mean() > photograph[0].mean() + 0.1


def test_superpixels_are_selected_together(photograph):
    labels = importlib.import_module("skimage.segmentation").felzenszwalb(
        photograph.permute(1, 2, 0).numpy(), scale=100, min_size=40
    )
    superpixels = torch.from_numpy(labels)[None]
    n_players = int(superpixels.max()) + 1
    assert n_players > 10
    x = photograph[None]
    ranks = GreedyPIG(Bright()).attribute(x, target=0, feature_mask=superpixels)
    for label in range(n_players):
        inside = ranks[0][:, superpixels[0] == label]
        assert (inside == inside.flatten()[0]).all()
    assert sorted(ranks[0, 0].unique().tolist()) == list(range(1, n_players + 1))


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ImportError, match=r'"\.\[regions\]"; or give segments$'):
        XRAI(conv()).attribute(rows(1, 2, 7, 8), target=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_pixels": 0}, ValueError, "min_pixels must be at least 1, got 0"),
        ({"area": 0.0}, ValueError, r"area must be in \(0, 1\], got 0\.0"),
        ({"segments": torch.zeros(7, 9).long()}, ValueError, r"segments must have shape \[7, 8\]"),
        ({"segments": torch.zeros(7, 8)}, TypeError, "segments must hold integers or be bool"),
        ({"segments": [torch.zeros(7, 8).long()]}, ValueError, "one tensor for each of 2 examples"),
        ({"segments": 3}, TypeError, "segments must be a tensor, got 3"),
        ({"segments": torch.zeros(0, 7, 8).bool()}, ValueError, "segments must hold at least one"),
        ({"min_pixels": 57}, ValueError, "min_pixels must be at most 56, the pixels .* got 57"),
        ({"attributions": torch.zeros(2, 7, 8)}, ValueError, "attributions must have shape"),
        ({"attributions": torch.zeros(2, 2, 7, 8) / 0}, ValueError, "attributions must be finite"),
        ({"attributions": GIVEN, "n_steps": 0}, ValueError, "n_steps must be at least 1, got 0"),
        ({"attributions": GIVEN, "target": [0]}, ValueError, "target must have"),
        ({"attributions": GIVEN, "baselines": 0.0}, ValueError, "baselines must be None where"),
        ({"internal_batch_size": 0}, ValueError, "internal_batch_size must be at least 1, got 0"),
        ({"area": "1"}, TypeError, "area must be a number, got '1'"),
        ({"show_progress": 3}, TypeError, "progress must be True, False or a function"),
    ],
)
def test_errors(options, error, message):
    call = {"segments": torch.zeros(7, 8).long(), "target": 0, **options}
    with pytest.raises(error, match=message):
        XRAI(conv()).attribute(rows(2, 2, 7, 8), **call)


def test_regions_need_images():
    with pytest.raises(ValueError, match=r"inputs must be images of shape .*got \[2, 6\]"):
        XRAI(mlp()).attribute(rows(2, 6), target=0)
