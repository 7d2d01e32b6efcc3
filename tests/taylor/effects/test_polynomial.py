"""Polynomials, whose terms are exact, against dividends, terms and orders of a model."""

from __future__ import annotations

import pytest
import torch
from closed_forms import SHIFTED_POLYNOMIAL
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.taylor import Polynomial, harsanyi_dividends, taylor_effects


def test_terms_of_a_polynomial_around_another_baseline():
    known = SHIFTED_POLYNOMIAL
    polynomial = Polynomial(known["polynomial"])
    x = torch.tensor([known["x"]], dtype=torch.float64)
    b = torch.tensor(known["baseline"], dtype=torch.float64)
    exact = polynomial.taylor_terms(x, known["baseline"])
    assert exact.to_dict() == {kappa: float(value) for kappa, value in known["terms"].items()}
    terms = taylor_effects(polynomial, x, kind="kappa", max_order=3, baselines=b)
    for kappa, value in known["terms"].items():
        assert terms.term(kappa).item() == pytest.approx(value, abs=1e-12)
    effects = harsanyi_dividends(polynomial, x, baselines=b)
    for players, value in known["effects"].items():
        assert effects.effect(players).item() == pytest.approx(value, abs=1e-12)
    torch.testing.assert_close(exact.generic(), effects.values, atol=1e-12, rtol=0)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 4), degree=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_random_polynomials_terms_dividends_and_orders_agree(n, degree, seed):
    generator = torch.Generator().manual_seed(seed)
    polynomial = Polynomial.random(n, degree, generator=generator, density=0.6)
    x, b = torch.randn(2, 1, n, generator=generator, dtype=torch.float64)
    exact = polynomial.taylor_terms(x, b[0].tolist())
    scale = 1 + exact.values.abs().sum().item()
    by_masks = harsanyi_dividends(polynomial, x, baselines=b)
    torch.testing.assert_close(by_masks.values, exact.generic(), atol=1e-12 * scale, rtol=0)
    terms = taylor_effects(polynomial, x, kind="kappa", max_order=degree, baselines=b)
    torch.testing.assert_close(terms.generic(), exact.generic(), atol=1e-11 * scale, rtol=0)
    orders = taylor_effects(polynomial, x, kind="order", max_order=degree, baselines=b)
    torch.testing.assert_close(orders.order_sums(), terms.order_sums(), atol=1e-11 * scale, rtol=0)
    torch.testing.assert_close(orders.generic(), exact.generic(), atol=1e-11 * scale, rtol=0)


def test_exponents_that_do_not_fit():
    x = torch.ones(2, 30, dtype=torch.float64)
    with pytest.raises(ValueError, match="kappa must have 2 entries"):
        Polynomial({(1, 1): 1.0}).taylor_terms(x[:, :2]).term((1, 2))
    with pytest.raises(ValueError, match="exponents of one positive length"):
        Polynomial({(1, 1): 1.0, (2,): 1.0})


@pytest.mark.parametrize("seed", range(3))
def test_a_random_polynomial_is_never_empty(seed):
    generator = torch.Generator().manual_seed(seed)
    found = Polynomial.random(3, 2, generator=generator, density=0.0)
    assert len(found.coefficients) == 1
    full = Polynomial.random(3, 2, generator=generator, density=1.0)
    assert len(full.coefficients) == 10  # of degree 0, 1 and 2 in three variables
