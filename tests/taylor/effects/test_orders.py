"""Effects order by order: jets, the series of exp, what a truncated series leaves out."""

from __future__ import annotations

import math

import pytest
import torch
from closed_forms import CASES, E3, e3_function

from pyxai import PyxaiWarning
from pyxai.taylor import taylor_effects, taylor_jet

ANALYTIC = [name for name, case in CASES.items() if not case.piecewise_linear]


def test_jets_of_a_product_with_exp_in_float32():
    jet = taylor_jet(e3_function, torch.tensor([E3["x"]]), max_order=5)
    assert jet.order_sums[0].tolist() == pytest.approx(E3["order_sums"], abs=1e-7, rel=1e-5)
    for order, moments in E3["moments"].items():
        found = jet.moments[0, order - 1].tolist()
        assert found == pytest.approx(moments, abs=1e-7, rel=1e-5)


def test_jets_of_a_product_with_exp():
    x = torch.tensor([E3["x"]], dtype=torch.float64)
    jet = taylor_jet(e3_function, x, max_order=5)
    torch.testing.assert_close(
        jet.order_sums[0], torch.tensor(E3["order_sums"], dtype=torch.float64), atol=1e-14, rtol=0
    )
    for order, moments in E3["moments"].items():
        found = jet.moments[0, order - 1].tolist()
        assert found == pytest.approx(moments, abs=1e-14)
    assert jet.residual.item() == pytest.approx(
        e3_function(x).item() - sum(E3["order_sums"]), abs=1e-14
    )
    terms = taylor_effects(e3_function, x, kind="kappa", max_order=5)
    torch.testing.assert_close(terms.order_sums(), jet.order_sums, atol=1e-14, rtol=0)
    torch.testing.assert_close(terms.moments(), jet.moments, atol=1e-14, rtol=0)
    assert "sums of orders" in str(jet)
    assert "missing" in str(terms)


@pytest.mark.parametrize("name", ANALYTIC)
def test_truncation_gap_is_reported_and_falls_with_the_order(name):
    case = CASES[name]
    gaps = []
    for order in (1, 3, 5):
        orders = taylor_effects(case.net(), case.inputs(), kind="order", max_order=order)
        exact = case.value - case.baseline_value - orders.values.sum().item()
        assert orders.residual.item() == pytest.approx(exact, abs=1e-12)
        gaps.append(abs(exact))
    assert gaps[2] <= gaps[1] + 1e-12
    assert gaps[2] < 0.05 * max(1.0, gaps[0])


def test_order_effects_of_exp_are_its_series():
    case = CASES["T7"]
    orders = taylor_effects(case.net(), case.inputs(), kind="order", max_order=4)
    a, b = case.x
    for k in range(1, 5):
        whole = (a + b) ** k / math.factorial(k)
        alone = [a**k / math.factorial(k), b**k / math.factorial(k)]
        found = orders.values[0, k - 1].tolist()
        assert found == pytest.approx([0, *alone, whole - sum(alone)], abs=1e-14)
    assert "x0" in str(orders)


def test_jet_says_whether_the_model_has_kinks():
    smooth = taylor_jet(e3_function, torch.tensor([E3["x"]]), max_order=2)
    assert smooth.analytic
    with pytest.warns(PyxaiWarning, match="the model has kinks"):
        kinked = taylor_jet(lambda x: (x[:, 0] - x[:, 1]).relu(), torch.ones(1, 2), max_order=2)
    assert not kinked.analytic
