"""Weights of the fourteen methods: the table of T3, weights x effects = method, sums of weights."""

from __future__ import annotations

import functools

import pytest
import torch
from closed_forms import CASES, KAPPA_WEIGHTS_T3, SHIFTED_POLYNOMIAL
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.taylor import (
    METHOD_NAMES,
    Polynomial,
    allocation_weights,
    attribution_from_effects,
    harsanyi_dividends,
)

T3_CONTRIBUTIONS = (1.0, 2.0, -1.0)
T3_OPTIONS = {
    "lrp_alpha2_beta1": ("lrp_alpha_beta", {"contributions": T3_CONTRIBUTIONS}),
    "deep_taylor": ("deep_taylor", {"contributions": T3_CONTRIBUTIONS}),
    "deeplift_reveal_cancel": ("deeplift_reveal_cancel", {"signs": (1, 1, -1)}),
}


@pytest.mark.parametrize("kappa", KAPPA_WEIGHTS_T3)
def test_weights_of_every_term_of_t3(kappa):
    _, expected = KAPPA_WEIGHTS_T3[kappa]
    for method, row in expected.items():
        name, options = T3_OPTIONS.get(method, (method, {}))
        found = allocation_weights(name, kappa, **options)
        assert found.tolist() == pytest.approx(row, abs=1e-15), method
    for same in ("deeplift_rescale", "lrp_epsilon", "expected_gradients"):
        found = allocation_weights(same, kappa).tolist()
        assert found == pytest.approx(expected["integrated_gradients"], abs=1e-15)
    deep = allocation_weights("deep_shap", kappa).tolist()
    assert deep == pytest.approx(expected["shapley_value"], abs=1e-15)
    deep = allocation_weights("deep_shap", kappa, rule="rescale").tolist()
    assert deep == pytest.approx(expected["integrated_gradients"], abs=1e-15)


def test_terms_of_t3():
    terms = Polynomial(CASES["T3"].polynomial).taylor_terms(CASES["T3"].inputs())
    assert terms.to_dict() == {kappa: value for kappa, (value, _) in KAPPA_WEIGHTS_T3.items()}


def moments(case):
    """Return (t - b) / (x - b) of the draws of Prediction Difference; b = 0."""
    x = case.inputs()
    return torch.where(x == 0, torch.zeros_like(x), case.background() / x)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].polynomial])
def test_methods_on_polynomials_are_their_weights_times_effects(name):
    case = CASES[name]
    polynomial, x = Polynomial(case.polynomial), case.inputs()
    terms = polynomial.taylor_terms(x)
    of_baselines = [polynomial.taylor_terms(x, row.tolist()) for row in case.background()]
    options = {
        "gradient_x_input": ("gradient_x_input", terms, {}),
        "gradient_x_input_at_baseline": ("gradient_x_input", terms, {"at": "baseline"}),
        "occlusion_1": ("occlusion_1", terms, {}),
        "occlusion_patch": ("occlusion_patch", terms, {"patches": case.patches}),
        "integrated_gradients": ("integrated_gradients", terms, {}),
        "expected_gradients": ("expected_gradients", of_baselines, {}),
        "shapley_value": ("shapley_value", terms, {}),
    }
    for method, (canonical, effects, extra) in options.items():
        found = attribution_from_effects(canonical, effects, **extra)
        torch.testing.assert_close(found, case.expected(method), atol=1e-12, rtol=0, msg=method)
    if name != "T9":  # there a draw lies beside an input of 0: no baseline system has D_i = 0
        found = attribution_from_effects("prediction_difference", terms, draws=moments(case))
        torch.testing.assert_close(found, case.expected("prediction_difference"))


@pytest.mark.parametrize("name", CASES)
def test_generic_methods_from_dividends(name):
    case = CASES[name]
    effects = harsanyi_dividends(case.net(), case.inputs())
    several = [
        harsanyi_dividends(case.net(), case.inputs(), baselines=row) for row in case.background()
    ]
    for method, table, extra in (
        ("occlusion_1", effects, {}),
        ("occlusion_patch", effects, {"patches": case.patches}),
        ("shapley_value", effects, {}),
    ):
        found = attribution_from_effects(method, table, **extra)
        torch.testing.assert_close(found, case.expected(method), atol=1e-12, rtol=0, msg=method)
    # Only coordinate i of the baseline matters to Occlusion-1 of i, so the joint draws serve.
    found = attribution_from_effects("prediction_difference", several)
    torch.testing.assert_close(found, case.expected("prediction_difference"), atol=1e-12, rtol=0)
    if name in ("T1", "T3", "T4", "T7"):  # one neuron: Deep SHAP is the Shapley value
        found = attribution_from_effects("deep_shap", several)
        expected = case.expected("deep_shap_neuron_shapley")
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_layer_rules_of_single_neurons_from_their_terms():
    case = CASES["T3"]
    terms = Polynomial(case.polynomial).taylor_terms(case.inputs())
    options = {"contributions": T3_CONTRIBUTIONS}
    for method, canonical in (
        ("lrp_alpha2_beta1_ignore", "lrp_alpha_beta"),
        ("deep_taylor", "deep_taylor"),
        ("deeplift_reveal_cancel", "deeplift_reveal_cancel"),
    ):
        found = attribution_from_effects(canonical, terms, **options)
        torch.testing.assert_close(found, case.expected(method), atol=1e-12, rtol=0)
    # T1 has f(b) = 1, which LRP shares out too.
    case = CASES["T1"]
    terms = Polynomial(case.polynomial).taylor_terms(case.inputs())
    options = {"contributions": (2.0, -6.0, -1.0)}
    found = attribution_from_effects("lrp_alpha_beta", terms, **options)
    torch.testing.assert_close(found, case.expected("lrp_alpha2_beta1_ignore"))
    with pytest.raises(ValueError, match="contributions must be given for 'lrp_alpha_beta'"):
        attribution_from_effects("lrp_alpha_beta", terms, signs=(1, -1, -1))
    found = attribution_from_effects("deep_taylor", terms, **options)
    torch.testing.assert_close(found, case.expected("deep_taylor"))


def test_grad_cam_spreads_first_order_channel_effects():
    case = CASES["T9"]
    channels = case.feature_map()[0]  # [2, 2]
    means = channels.mean(1, keepdim=True).T  # [1, 2]
    of_means = Polynomial({(1, 1): 1.0, (1, 0): 2.0}).taylor_terms(means)
    shares = channels / channels.sum(1, keepdim=True)
    found = attribution_from_effects("grad_cam", of_means, shares=shares)
    torch.testing.assert_close(found, case.expected("grad_cam"))
    first = attribution_from_effects("grad_cam", of_means, shares=shares, at="baseline")
    torch.testing.assert_close(first, torch.tensor([[1.0, 3.0]], dtype=torch.float64))


def test_weights_around_another_baseline():
    known = SHIFTED_POLYNOMIAL
    x = torch.tensor([known["x"]], dtype=torch.float64)
    terms = Polynomial(known["polynomial"]).taylor_terms(x, known["baseline"])
    for method, expected in known["methods"].items():
        options = {"at": "baseline"} if method.endswith("at_baseline") else {}
        name = method.removesuffix("_at_baseline")
        found = attribution_from_effects(name, terms, **options)[0].tolist()
        assert found == pytest.approx(expected, abs=1e-12), method


KAPPAS = st.lists(st.integers(0, 3), min_size=2, max_size=5).filter(any)
COMPLETE = {
    "integrated_gradients": {}, "expected_gradients": {}, "shapley_value": {},
    "deeplift_rescale": {}, "deeplift_reveal_cancel": {}, "deep_shap": {},
    "lrp_epsilon": {},
}  # fmt: skip


@given(kappa=KAPPAS, data=st.data())
def test_fair_methods_give_every_term_to_its_own_inputs_in_full(kappa, data):
    signs = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(kappa), max_size=len(kappa)))
    for method in COMPLETE:
        extra = {"signs": signs} if method == "deeplift_reveal_cancel" else {}
        weights = allocation_weights(method, kappa, **extra)
        assert weights.sum().item() == pytest.approx(1)
        assert bool((weights[torch.tensor(kappa) == 0] == 0).all())
        assert bool((weights >= 0).all())
    for method in ("gradient_x_input", "occlusion_1", "prediction_difference"):
        weights = allocation_weights(method, kappa)
        assert bool((weights[torch.tensor(kappa) == 0] == 0).all())


@given(kappa=KAPPAS, beta=st.floats(0, 3), data=st.data())
def test_alpha_beta_keeps_the_total_of_every_term_if_both_signs_occur(kappa, beta, data):
    sizes = st.floats(0.1, 2)
    u = [data.draw(sizes) * (1 if i % 2 else -1) for i in range(len(kappa))]
    weights = allocation_weights(
        "lrp_alpha_beta", kappa, contributions=u, alpha=1 + beta, beta=beta
    )
    assert weights.sum().item() == pytest.approx(1)
    z_plus = allocation_weights("deep_taylor", kappa, contributions=u)
    assert z_plus.sum().item() == pytest.approx(1)
    assert bool((z_plus[::2] == 0).all())


def test_shares_that_depend_on_sizes_come_as_a_function():
    rule = allocation_weights("lrp_alpha_beta", [[0, 0, 3], [1, 1, 1]], (1, 1, -1))
    assert callable(rule)
    found = rule(torch.tensor([1.0, 2.0, -1.0]))
    assert found.flatten().tolist() == pytest.approx([2 / 3, 4 / 3, -1, 1, 1, -1])
    with pytest.raises(ValueError, match="contributions must have the signs"):
        rule(torch.tensor([1.0, -2.0, -1.0]))
    # An empty sign group is dropped: the sum of the weights is then alpha.
    alone = allocation_weights("lrp_alpha_beta", [1, 2], (1, 1))
    assert alone.tolist() == pytest.approx([2 / 3, 4 / 3])


def test_quadrature_formula_covers_all_gradient_methods():
    kappa = [[2, 1], [1, 0], [3, 3]]
    order = torch.tensor(kappa).sum(1, keepdim=True)
    at_input = allocation_weights("path_quadrature", kappa, nodes=[1.0], node_weights=[1.0])
    assert torch.equal(at_input, allocation_weights("gradient_x_input", kappa))
    at_baseline = allocation_weights("path_quadrature", kappa, nodes=[0.0], node_weights=[1.0])
    assert torch.equal(at_baseline, allocation_weights("gradient_x_input", kappa, at="baseline"))
    import numpy as np

    for m in (1, 2, 3):  # Gauss-Legendre with m nodes is exact up to order 2 m
        points, weights = np.polynomial.legendre.leggauss(m)
        found = allocation_weights(
            "path_quadrature", kappa, nodes=(points + 1) / 2, node_weights=weights / 2
        )
        exact = allocation_weights("integrated_gradients", kappa)
        close = torch.isclose(found, exact, atol=1e-12).all(1)
        assert torch.equal(close, (order <= 2 * m)[:, 0])


def test_overlapping_patches_give_the_fraction_that_meets_the_term():
    weights = allocation_weights("occlusion_patch", [1, 0, 0, 0], patches=[[0, 1], [1, 2], [2]])
    assert weights.tolist() == [1.0, 0.5, 0.0, 0.0]


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 4), seed=st.integers(0, 10**6))
def test_completeness_and_occlusion_of_random_polynomials(n, seed):
    generator = torch.Generator().manual_seed(seed)
    polynomial = Polynomial.random(n, 4, generator=generator, density=0.5)
    x, b = torch.randn(2, 2, n, generator=generator, dtype=torch.float64)
    terms = polynomial.taylor_terms(x, b[0].tolist())
    effects = harsanyi_dividends(polynomial, x, baselines=b[:1])
    scale = 1 + terms.values.abs().sum().item()
    change = polynomial(x) - polynomial(b[:1])
    for method in COMPLETE:
        extra = {"signs": [1] * n} if method == "deeplift_reveal_cancel" else {}
        if method == "lrp_epsilon":
            continue  # shares out the output itself
        found = attribution_from_effects(method, terms, **extra)
        torch.testing.assert_close(found.sum(1), change, atol=1e-11 * scale, rtol=0)
    for method in ("shapley_value", "occlusion_1"):
        one = attribution_from_effects(method, terms)
        other = attribution_from_effects(method, effects)
        torch.testing.assert_close(one, other, atol=1e-11 * scale, rtol=0)
    patches = [list(range(n // 2)), list(range(n // 2, n))]
    one = attribution_from_effects("occlusion_patch", terms, patches=patches)
    kept = x.clone()
    kept[:, patches[0]] = b[:1, patches[0]]
    without = polynomial(x) - polynomial(kept)
    torch.testing.assert_close(one[:, 0], without, atol=1e-11 * scale, rtol=0)


def test_names_and_errors():
    assert len(METHOD_NAMES) == 14
    same = functools.partial(allocation_weights, kappa=[2, 1])
    assert torch.equal(same("FeatureAblation"), same("occlusion_1"))
    assert torch.equal(same("Shapley values"), same("shapley_value"))
    assert torch.equal(same("DeepLift"), same("deeplift_rescale"))
    with pytest.raises(ValueError, match="method must be one of gradient_x_input"):
        same("magic")
    with pytest.raises(ValueError, match=r"alpha - beta must be 1, got alpha=2\.0 and beta=0\.5"):
        same("lrp_alpha_beta", signs=(1, 1), beta=0.5)
    with pytest.raises(ValueError, match=r"alpha - beta must be 1, got alpha=2\.0 and beta=1\.5"):
        same("lrp_alpha_beta", signs=(1, 1), beta=1.5)
    assert allocation_weights("lrp_alpha_beta", [1, 1], (1, -1), alpha=2.2, beta=1.2).shape == (2,)
    with pytest.raises(ValueError, match="signs must be given for 'deep_taylor'"):
        allocation_weights("deep_taylor", (1, 1))
    with pytest.raises(ValueError, match="signs must be given for 'deeplift_reveal_cancel'"):
        same("deeplift_reveal_cancel")
    with pytest.raises(ValueError, match=r"signs must have shape \[2\]"):
        same("deeplift_reveal_cancel", signs=(1, 1, 1))
    with pytest.raises(ValueError, match="patches must be given"):
        same("occlusion_patch")
    with pytest.raises(ValueError, match=r"shares must have shape \[2, n_positions\]"):
        same("grad_cam")
    with pytest.raises(ValueError, match="kappa must be non-negative integers"):
        allocation_weights("shapley_value", [1, -1])
    effects = harsanyi_dividends(CASES["T2"].net(), CASES["T2"].inputs())
    with pytest.raises(ValueError, match="effects must be TaylorTerms for 'integrated_gradients'"):
        attribution_from_effects("integrated_gradients", effects)
    with pytest.raises(TypeError, match="effects must be HarsanyiDividends or TaylorTerms"):
        attribution_from_effects("shapley_value", torch.ones(4))
