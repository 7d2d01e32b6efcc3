"""Sizes by which metrics scale or clean what they are given count from zero to either side."""

import pytest
import torch

from pyxai import metrics
from pyxai.metrics.checks.single import _without_rounding

D = torch.float64


@pytest.mark.parametrize("scale", [1e-250, -1e-250, 1e250, -1e250])
def test_a_fitted_scale_may_be_tiny_huge_and_negative(scale):
    """All predicted changes have one sign; their squares are lost, or infinite."""
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=D)
    x = torch.tensor([[0.5, -1.0, 2.0]], dtype=D)

    def perturb(inputs):
        change = torch.rand(inputs.shape, dtype=D, generator=generator) * 0.1
        return change, inputs - change

    found = []
    for factor in (1.0, scale):
        generator = torch.Generator().manual_seed(0)
        found.append(
            metrics.infidelity(
                lambda q: (q @ weights).tanh(),
                perturb,
                x,
                (factor * weights)[None],
                n_perturb_samples=5,
                normalize=True,
            )
        )
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=0)
    assert found[0] > 0


def test_only_what_is_small_beside_the_largest_of_either_sign_is_rounding():
    rows = [[1.0, -2.0, 1e-7, -1e-7], [-1.0, -3.0, -1e-5, 0.0], [-1.0, -3.0, -1e-7, -2e-6]]
    kept = [[1.0, -2.0, 0.0, 0.0], [-1.0, -3.0, -1e-5, 0.0], [-1.0, -3.0, 0.0, 0.0]]
    scores, expected = torch.tensor(rows, dtype=D), torch.tensor(kept, dtype=D)
    assert torch.equal(_without_rounding(scores), expected)
    assert torch.equal(_without_rounding(-scores), -expected)
