"""Point games by hand, of extreme numbers, and with wrong cells."""

import pytest
import torch

from pyxai import metrics


def test_point_game():
    values = torch.tensor([[0.1, 0.9, -5.0, 0.5], [-1.0, -2.0, -3.0, -4.0]])
    truth = torch.tensor([False, True, True, False])
    assert metrics.point_game(values, truth).tolist() == [1.0, 0.0]
    mass = metrics.point_game(values, truth, mode="mass")
    torch.testing.assert_close(
        mass, torch.tensor([0.6, 0.0], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_grid_point_game():
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 3] = 3.0  # upper right cell
    maps[0, 1, 3, 0] = 1.0  # lower left cell
    maps[0, 0, 2, 2] = -9.0
    for cell, expected in enumerate([0.0, 0.75, 0.25, 0.0]):
        assert metrics.grid_point_game(maps, 2, torch.tensor([cell])).item() == expected


@pytest.mark.parametrize("scale", [1e-300, 1e300, 4e307])
def test_masses_of_any_size(scale):
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0]], dtype=torch.float64) * scale
    truth = torch.tensor([True, False, False, True, False])
    assert metrics.point_game(values, truth, mode="mass").item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cells", "cell", "error", "message"),
    [
        (2, torch.tensor([0.0]), TypeError, "cell must hold integers, got torch.float32"),
        (2, torch.tensor([True]), TypeError, "cell must hold integers, got torch.bool"),
        (2, [0], TypeError, "cell must be a tensor, got a list"),
        (2.0, torch.tensor([0]), TypeError, "cells must be an integer, got 2.0"),
        (0, torch.tensor([0]), ValueError, "cells must be at least 1, got 0"),
        (2, torch.tensor([0, 1]), ValueError, "cell must hold 1 numbers from 0 to 3"),
    ],
)
def test_cells_are_whole_numbers(cells, cell, error, message):
    with pytest.raises(error, match=message):
        metrics.grid_point_game(torch.ones(1, 4, 4), cells, cell)


def test_a_point_lies_in_one_tensor():
    values = torch.ones(1, 4)
    with pytest.raises(TypeError, match="attributions must be a tensor, got a tuple of 1"):
        metrics.point_game((values,), values > 0)


def test_grid():
    with pytest.raises(ValueError, match="cells must divide height 4 and width 4, got 3"):
        metrics.grid_point_game(torch.ones(1, 4, 4), 3, torch.tensor([0]))
    with pytest.raises(ValueError, match="cell must hold 1 numbers from 0 to 3"):
        metrics.grid_point_game(torch.ones(1, 4, 4), 2, torch.tensor([4]))
