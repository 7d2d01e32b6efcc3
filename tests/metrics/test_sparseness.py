"""Sparseness against the Gini index by hand, and of extreme numbers."""

import pytest
import torch

from pyxai import metrics


def test_sparseness():
    values = torch.tensor([[0.0, 0.0, 0.0, -2.0], [1.0, -1.0, 1.0, 1.0], [0.0, 0, 0, 0]])
    torch.testing.assert_close(
        metrics.sparseness(values), torch.tensor([0.75, 0.0, 0.0], dtype=torch.float64)
    )


@pytest.mark.parametrize("scale", [1e-300, 1e300, 4e307])
def test_scores_of_any_size(scale):
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0]], dtype=torch.float64) * scale
    assert metrics.sparseness(values).item() == pytest.approx(0.4)
