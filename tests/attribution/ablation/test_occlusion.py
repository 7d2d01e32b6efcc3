import itertools

import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.attribution import FeatureAblation, Occlusion


def plain_occlusion(model, x, window, strides, baselines):
    """Move the window by loops, for one example-wise model and one tensor."""
    total, count = torch.zeros_like(x), torch.zeros_like(x[:1])
    whole = model(x)
    steps = [
        range(0, size - width + stride, stride)
        for size, width, stride in zip(x.shape[1:], window, strides, strict=True)
    ]
    for corner in itertools.product(*steps):
        place = (slice(None), *(slice(at, at + w) for at, w in zip(corner, window, strict=True)))
        changed = x.clone()
        changed[place] = baselines.expand_as(x)[place]
        drop = (whole - model(changed)).view(-1, *[1] * (x.dim() - 1))
        total[place] += drop
        count[place] += 1
    return total / count


IMAGE_WINDOWS = [
    ((2, 3, 3), (1, 1, 1)),
    ((1, 2, 3), (1, 2, 2)),  # the last windows stand over the edge
    ((2, 7, 3), (2, 9, 3)),  # a stride may exceed a window that covers its dimension
    ((1, 1, 1), (1, 1, 1)),
    ((1, 4, 5), (1, 3, 4)),
    ((2, 7, 8), (1, 1, 1)),
]


@pytest.mark.parametrize(("window", "strides"), IMAGE_WINDOWS)
def test_images_equal_captum_and_loops(window, strides):
    model, x, start = conv(), rows(3, 2, 7, 8), rows(3, 2, 7, 8, seed=1)
    ours = Occlusion(model).attribute(x, window, strides, start, target=[0, 2, 1])
    theirs = peer(captum.attr.Occlusion(model), x, window, strides, start, target=[0, 2, 1])
    assert_equals_captum(ours, theirs)
    wide, target = conv(torch.float64), torch.tensor([[0], [2], [1]])
    x, start = x.double(), start.double()
    with torch.no_grad():
        expected = plain_occlusion(
            lambda rows: wide(rows).gather(1, target)[:, 0],
            x.double(),
            window,
            strides,
            start.double(),
        )
    exact = Occlusion(wide).attribute(x.double(), window, strides, start.double(), [0, 2, 1])
    torch.testing.assert_close(exact, expected, rtol=1e-13, atol=1e-13)


@st.composite
def layouts(draw):
    """Return a shape, a window that fits into it and strides that leave no gap."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    window = [draw(st.integers(1, size)) for size in shape]
    strides = [draw(st.integers(1, width)) for width in window]
    return tuple(shape), tuple(window), tuple(strides)


@settings(max_examples=40, deadline=None)
@given(layouts())
def test_any_layout_equals_loops(layout):
    shape, window, strides = layout
    x, start = rows(2, *shape, dtype=torch.float64), rows(2, *shape, dtype=torch.float64, seed=1)
    weight = rows(*shape, dtype=torch.float64, seed=2)

    def model(x):
        return (x * weight).flatten(1).sum(1).sin()

    values = Occlusion(model).attribute(x, window, strides, start)
    expected = plain_occlusion(model, x, window, strides, start)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per_eval", [1, 2, 50])
def test_rows_of_numbers_equal_captum(per_eval):
    model, x = mlp(), rows(4, 6)
    call = {"target": 1, "perturbations_per_eval": per_eval, "baselines": rows(1, 6, seed=1)}
    ours = Occlusion(model).attribute(x, (3,), (2,), **call)
    assert_equals_captum(ours, peer(captum.attr.Occlusion(model), x, (3,), (2,), **call))


def test_several_inputs_equal_captum():
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    call = {
        "sliding_window_shapes": ((3,), (2, 2)),
        "strides": (2, (1, 1)),
        "baselines": (rows(4, 4, seed=2), 0.25),
        "target": 2,
        "additional_forward_args": (torch.arange(4.0),),
        "perturbations_per_eval": 3,
    }
    ours = Occlusion(TwoInputs()).attribute(inputs, **call)
    theirs = peer(captum.attr.Occlusion(TwoInputs()), inputs, **call)
    assert_equals_captum(ours, theirs, 1e-5)  # outputs are of size 10


def test_windows_side_by_side_are_groups_of_features():
    model, x = mlp(torch.float64), rows(4, 6, dtype=torch.float64)
    groups = FeatureAblation(model).attribute(
        x, target=0, feature_mask=torch.tensor([[0, 0, 1, 1, 2, 2]])
    )
    assert torch.equal(Occlusion(model).attribute(x, (2,), (2,), target=0), groups)
    assert torch.equal(Occlusion(model).attribute(x, 2, 2, target=0), groups)


def test_one_output_for_the_whole_batch_equals_captum():
    x = rows(4, 6, dtype=torch.float64)
    model = lambda rows: rows.sin().prod(1).sum()  # noqa: E731 - a model of one line
    ours = Occlusion(model).attribute(x, (2,), baselines=0.5)
    assert ours.shape == (1, 6)
    assert_equals_captum(ours.float(), peer(captum.attr.Occlusion(model), x, (2,), baselines=0.5))


def test_all_outputs_equal_captum():
    model, x = conv(), rows(3, 2, 7, 8)
    call = {"sliding_window_shapes": (2, 3, 3), "strides": (2, 2, 3)}
    ours = Occlusion(model).attribute(x, **call)
    assert ours.shape == (9, 2, 7, 8)
    assert_equals_captum(ours, peer(captum.attr.Occlusion(model), x, **call))


def test_windows_without_anything_cost_nothing():
    calls = []

    def model(rows):
        calls.append(len(rows))
        return rows.sum(1).sin()

    x = torch.zeros(3, 50)
    x[:, 20] = torch.tensor([1.0, 2.0, 3.0])
    values = Occlusion(model).attribute(x, (5,))
    assert (values[:, :16] == 0).all()
    assert (values[:, 20] != 0).all()
    # The whole row, five windows with feature 20, the rows of one measurement of memory, and four
    # that tell whether rows are apart.
    assert sum(calls) <= 3 * 6 + 6 + 4


def test_bad_arguments_are_named():
    method, x = Occlusion(mlp()), rows(2, 6)
    with pytest.raises(ValueError, match=r"sliding_window_shapes must be at most .*\(7,\)"):
        method.attribute(x, (7,), target=0)
    with pytest.raises(ValueError, match=r"strides must be at most the window's shape, \(2,\)"):
        method.attribute(x, (2,), (3,), target=0)
    with pytest.raises(ValueError, match=r"sliding_window_shapes must have 1 sizes for inputs of"):
        method.attribute(x, (2, 2), target=0)
    with pytest.raises(ValueError, match="sliding_window_shapes must be at least 1, got 0"):
        method.attribute(x, (0,), target=0)
    with pytest.raises(TypeError, match="sliding_window_shapes must hold ints or tuples of ints"):
        method.attribute(x, "ab", target=0)
    with pytest.raises(TypeError, match=r"strides must be an integer, got 1\.5"):
        method.attribute(x, (2,), (1.5,), target=0)
    pair = rows(2, 4), rows(2, 2, 3)
    with pytest.raises(ValueError, match="sliding_window_shapes must have 2 entries, one"):
        Occlusion(TwoInputs()).attribute(pair, ((2,),), target=0)
