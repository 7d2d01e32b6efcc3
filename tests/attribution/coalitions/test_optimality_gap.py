"""By how much the conditions of the Lasso's optimum are missed, on either side of zero."""

import pytest
import torch

from pyxai.attribution.coalitions.dual_newton import optimality_gap

D = torch.float64


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("slope", "beta", "gap"),
    [
        (0.5, 0.0, 0.0),  # within alpha
        (2.0, 0.0, 0.0),
        (2.5, 0.0, 0.5),
        (2.0, 1.0, 0.0),  # what is not zero has a slope of alpha
        (1.5, 1.0, 0.5),
        (2.25, 1.0, 0.25),
        (-2.0, 1.0, 4.0),
    ],
)
def test_one_column(slope, beta, gap, sign):
    found = optimality_gap(
        sign * torch.tensor([[slope, 0.0]], dtype=D), sign * torch.tensor([[beta, 0.0]], dtype=D), 2
    )
    assert found.tolist() == [gap]


def test_the_worst_column_of_each_row_counts():
    slopes = torch.tensor([[3.0, -5.0, 0.0], [0.0, 1.0, -2.5]], dtype=D)
    assert optimality_gap(slopes, torch.zeros_like(slopes), 2).tolist() == [3.0, 0.5]
