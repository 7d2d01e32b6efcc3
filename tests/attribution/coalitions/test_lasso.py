"""The conditions that a solution of the Lasso meets."""

import pytest
import torch

from pyxai.attribution.coalitions.lasso import _optimal


@pytest.mark.parametrize("beta", [0.8, 0.9, 1.0])
def test_a_coefficient_may_miss_its_solution_on_either_side(beta):
    """``(b - 1)^2 / 2 + .1 |b|`` is least at .9."""
    one = torch.ones(1, 1, dtype=torch.float64)
    near = _optimal(one[:, None], one, 0.1, beta * one, 0.01 * one)
    assert near.tolist() == [beta == 0.9]


def test_a_coefficient_of_zero():
    """It is right where the slope does not reach the penalty, on either side."""
    one, zero = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    slopes = torch.tensor([[0.05], [-0.05], [0.2], [-0.2]], dtype=torch.float64)
    found = _optimal(one[:, None], slopes, 0.1, zero, 0.01 * one)
    assert found.tolist() == [True, True, False, False]
