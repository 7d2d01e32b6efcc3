import itertools

import pytest
import torch

from pyxai.attribution.ablation.windows import Windows, per_input

LAYOUTS = [
    ((7,), (3,), (2,)),
    ((7,), (7,), (9,)),
    ((6,), (4,), (4,)),
    ((5, 4), (2, 3), (2, 1)),
    ((3, 5, 6), (3, 2, 4), (1, 2, 3)),
    ((1, 1), (1, 1), (1, 1)),
]


def by_loops(shape, window, strides):
    """Return the features that every window covers, bool [n_windows, *shape]."""
    positions = [
        -(-(size - width) // stride) + 1
        for size, width, stride in zip(shape, window, strides, strict=True)
    ]
    masks = []
    for place in itertools.product(*map(range, positions)):
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[
            tuple(
                slice(at * stride, at * stride + width)
                for at, stride, width in zip(place, strides, window, strict=True)
            )
        ] = True
        masks.append(mask)
    return torch.stack(masks)


@pytest.mark.parametrize(("shape", "window", "strides"), LAYOUTS)
def test_cells_make_up_the_windows(shape, window, strides):
    windows = Windows.slide(shape, window, strides, "cpu")
    expected = by_loops(shape, window, strides)
    assert windows.n_windows == len(expected)
    hidden = windows.hidden_cells(torch.arange(windows.n_windows))
    assert hidden.shape == (windows.n_windows, windows.n_cells)
    assert torch.equal(hidden[:, windows.features[0].long()], expected)
    chosen = torch.tensor([windows.n_windows - 1, 0])
    assert torch.equal(windows.hidden_cells(chosen), hidden[chosen])
    # As few players as there can be: no two cells are in the same windows.
    assert len(hidden.t().unique(dim=0)) == windows.n_cells


@pytest.mark.parametrize(("shape", "window", "strides"), LAYOUTS)
def test_features_get_the_mean_of_their_windows(shape, window, strides):
    windows = Windows.slide(shape, window, strides, "cpu")
    masks = by_loops(shape, window, strides).double()
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, windows.n_windows, generator=generator, dtype=torch.float64)
    expected = torch.tensordot(scores, masks, 1) / masks.sum(0).clamp(min=1)
    torch.testing.assert_close(windows.spread(scores), expected)
    assert windows.spread(scores.float()).dtype == torch.float32


@pytest.mark.parametrize(("shape", "window", "strides"), LAYOUTS)
def test_windows_that_touch_a_cell(shape, window, strides):
    windows = Windows.slide(shape, window, strides, "cpu")
    for cell in range(windows.n_cells):
        cells = torch.arange(windows.n_cells) == cell
        expected = windows.hidden_cells(torch.arange(windows.n_windows))[:, cell].nonzero()[:, 0]
        assert torch.equal(windows.touching(cells), expected)
    assert len(windows.touching(torch.zeros(windows.n_cells, dtype=torch.bool))) == 0


def test_sizes_for_each_input():
    shapes = [(4,), (2, 3)]
    assert per_input("strides", 2, shapes, True) == [(2,), (2, 2)]
    assert per_input("strides", ((1,), (2, 3)), shapes, True) == [(1,), (2, 3)]
    assert per_input("strides", (1, (2, 3)), shapes, True) == [(1,), (2, 3)]
    assert per_input("strides", [1, [2, 3]], shapes, True) == [(1,), (2, 3)]
    assert per_input("strides", (2, 3), shapes[1:], False) == [(2, 3)]
    assert per_input("strides", ((2, 3),), shapes[1:], True) == [(2, 3)]
    with pytest.raises(ValueError, match=r"strides must have 2 entries, .* got 3"):
        per_input("strides", (1, 1, 1), shapes, True)
    with pytest.raises(TypeError, match=r"strides must be an int or a tuple, got 1\.5"):
        per_input("strides", 1.5, shapes, True)
    with pytest.raises(ValueError, match=r"strides must have 2 sizes for inputs of shape"):
        per_input("strides", (1, (2,)), shapes, True)
