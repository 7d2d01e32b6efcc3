"""The terms of adaptive wavelet distillation: values by hand, zeros of orthogonal wavelets."""

import math

import pytest
import torch

from pyxai.transforms import coefficient_l1, reconstruction_loss, wavelet_constraints
from pyxai.transforms.filters import scaling_filters


@pytest.mark.parametrize("name", scaling_filters())
def test_orthogonal_wavelets_have_none(name):
    scaling = torch.tensor(scaling_filters()[name], dtype=torch.float64)
    terms = wavelet_constraints(scaling)
    assert max(float(term) for term in terms.values()) < 1e-19  # squares of the table's digits


def test_values_by_hand():
    one = {k: float(v) for k, v in wavelet_constraints(torch.tensor([1.0, 0, 0, 0])).items()}
    expected = {"low_sum": (1 - 2**0.5) ** 2 / 2, "high_sum": 0.5, "norm": 0, "mirror": 0}
    assert one == pytest.approx({**expected, "shifts": 0}, abs=1e-7)
    flat = {k: float(v) for k, v in wavelet_constraints(torch.full((4,), 0.5)).items()}
    expected = {"low_sum": (2 - 2**0.5) ** 2 / 2, "high_sum": 0, "norm": 0, "mirror": 4}
    assert flat == pytest.approx({**expected, "shifts": 0.25}, abs=1e-6)


def test_constraints_equal_their_definitions_and_differentiate():
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(10, generator=generator, dtype=torch.float64)
    found = wavelet_constraints(h)
    products = [
        sum(float(h[m] * h[m + 2 * j]) for m in range(10) if 0 <= m + 2 * j < 10)
        for j in range(-5, 6)
    ]
    wanted = sum((each - (j == 0)) ** 2 for j, each in enumerate(products, -5)) / 2
    assert float(found["shifts"]) == pytest.approx(wanted)
    phases = [
        abs(
            sum(
                complex(h[m]) * complex(math.cos(a := -math.tau * k * m / 10), math.sin(a))
                for m in range(10)
            )
        )
        ** 2
        for k in range(10)
    ]
    wanted = sum((phases[k] + phases[k + 5] - 2) ** 2 for k in range(5)) / 2
    assert float(found["mirror"]) == pytest.approx(wanted)
    assert torch.autograd.gradcheck(
        lambda x: torch.stack(list(wavelet_constraints(x).values())), (h.requires_grad_(),)
    )


def test_sums_are_per_example():
    x = torch.tensor([[1.0, 2.0], [0.0, -2.0]])
    assert float(reconstruction_loss(x, torch.zeros(2, 2))) == 4.5
    assert float(coefficient_l1(x, level=4)) == 0.5


def test_odd_filters_are_an_error():
    with pytest.raises(ValueError, match=r"scaling must have an even number of taps, got .*\[3\]"):
        wavelet_constraints(torch.ones(3))
    with pytest.raises(TypeError, match="scaling must have dtype"):
        wavelet_constraints(torch.ones(4, dtype=torch.int64))
