"""The three principles: test A on the closed forms, B on neurons, C; and interactions drawn."""

from __future__ import annotations

import functools

import matplotlib
import pytest
import torch
from closed_forms import CASES
from torch import nn

from pyxai import plot
from pyxai.attribution import (
    DeepLift,
    DeepLiftShap,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
)
from pyxai.taylor import (
    Polynomial,
    allocation_weights,
    attribution_from_effects,
    harsanyi_dividends,
    integrated_hessians,
    pairwise_terms,
    principles,
)
from pyxai.taylor.allocation.principles_neuron import PowerNeuron


def effects_of(case):
    effects = case.effects_table()
    effects[0] = 0
    return effects


def shapley(net):
    return lambda x: attribution_from_effects("shapley_value", harsanyi_dividends(net, x))


DEEP = {
    "deeplift_rescale": DeepLift,
    "deeplift_reveal_cancel": functools.partial(DeepLift, rule="reveal_cancel"),
    "deep_shap": functools.partial(DeepLiftShap, rule="neuron_shapley"),
}


def exact_integrated_gradients(net):
    """Return integrated gradients that are exact for kinked nets too."""
    return lambda x: integrated_hessians(net, x).attributions


@pytest.mark.parametrize("name", CASES)
def test_complete_methods_allocate_everything_to_its_owners(name):
    case = CASES[name]
    net = case.net()
    methods = [shapley(net), exact_integrated_gradients(net), *DEEP.values()]
    if not case.piecewise_linear or name == "T1":
        methods.append(IntegratedGradients)
    for method in methods:
        found = principles(method, net, case.inputs())
        assert found.u.item() < 1e-12
        assert found.c.item() < 1e-9
        assert found.c_sum.item() < 1e-9
        assert found.e1.item() < 1e-9
        torch.testing.assert_close(found.effects[0], case.effects_table(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_shares_of_the_shapley_value_are_equal_parts(name):
    case = CASES[name]
    found = principles(shapley(case.net()), case.net(), case.inputs())
    for mask, effect in enumerate(effects_of(case).tolist()):
        size = bin(mask).count("1")
        for player in range(case.n):
            expected = effect / size if mask >> player & 1 else 0.0
            assert found.shares[0, player, mask].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_occlusion_counts_every_effect_once_per_member(name):
    case = CASES[name]
    found = principles(FeatureAblation, case.net(), case.inputs())
    effects = effects_of(case).abs()
    sizes = torch.tensor([bin(mask).count("1") for mask in range(2**case.n)])
    expected = (effects * (sizes - 1).clamp_min(0)).sum() / effects.sum()
    assert found.c.item() == pytest.approx(expected.item(), abs=1e-9)
    assert found.u.item() < 1e-12
    assert found.e1.item() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_patches_give_to_strangers(name):
    case = CASES[name]
    options = {"feature_mask": case.feature_mask()}
    found = principles(FeatureAblation, case.net(), case.inputs(), options=options)
    whole = name in ("T2", "T5")  # the only effect covers the patch
    assert found.u.item() == pytest.approx(0, abs=1e-12) if whole else 0.15 < found.u.item() < 0.5
    # With the patches as players nothing is strange.
    merged = principles(
        FeatureAblation, case.net(), case.inputs(), options=options,
        feature_mask=case.feature_mask(),
    )  # fmt: skip
    assert merged.u.item() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_first_order_form_gives_no_weight_to_interactions(name):
    case = CASES[name]
    options = {"at": "baseline"}
    found = principles(InputXGradient, case.net(), case.inputs(), options=options)
    interacting = max(map(len, case.effects)) > 1
    assert (found.e1.item() > 0.01) == interacting
    assert found.u.item() < 1e-12
    surrogate = principles(InputXGradient, case.net(), case.inputs(), test="C", options=options)
    change = case.value - case.baseline_value
    first = sum(case.methods["gradient_x_input_at_baseline"])
    assert surrogate.epsilon.item() == pytest.approx(abs(change - first) / abs(change), abs=1e-9)
    assert surrogate.completeness_gap.item() == pytest.approx(abs(first - change), abs=1e-9)


def test_held_out_relu_nets_batches_targets_and_float32():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    x, b = torch.randn(2, 5), torch.randn(5)

    def exact(inputs):
        table = harsanyi_dividends(net, inputs, baselines=b, target=2)
        return attribution_from_effects("shapley_value", table).float()

    found = principles(exact, net, x, b, target=2)
    assert found.u.max() < 1e-4
    assert found.c.max() < 1e-4
    for method in DEEP.values():
        deep = principles(method, net, x, b, target=2)
        assert deep.u.max() < 1e-4
        assert deep.c.max() < 1e-4
    occlusion = principles(FeatureAblation, net, x, b, target=2)
    assert occlusion.c.min() > 0.01
    assert occlusion.u.max() < 1e-4
    # An object and a class say the same.
    bound = principles(FeatureAblation(net), net, x, b, target=2)
    torch.testing.assert_close(bound.shares, occlusion.shares)


class LayerRule:
    """A layer rule on neurons ``(w . x)^k``, straight from its definition."""

    def __init__(self, model: PowerNeuron, rule: str) -> None:
        self.model, self.rule = model, rule

    def attribute(self, inputs, baselines=None):
        u = inputs * self.model.linear.weight
        y = self.model(inputs)
        plus, minus = u.clamp_min(0), u.clamp_max(0)
        if self.rule == "rescale":
            return u * y / u.sum(1, keepdim=True)
        if self.rule == "reveal_cancel":
            k, p, n = self.model.order, plus.sum(1, keepdim=True), minus.sum(1, keepdim=True)
            up = (p**k + (p + n) ** k - n**k) / 2
            down = (n**k + (p + n) ** k - p**k) / 2
            return plus * up / p + minus * down / n
        alpha, beta = (2, 1) if self.rule == "alpha_beta" else (1, 0)
        positive = alpha * plus / plus.sum(1, keepdim=True)
        return y * (positive - beta * minus / minus.sum(1, keepdim=True))


FAIR_RULES = {
    "deeplift_rescale": functools.partial(LayerRule, rule="rescale"),
    "deeplift_reveal_cancel": functools.partial(LayerRule, rule="reveal_cancel"),
}


@pytest.mark.parametrize(("factor", "gap"), [(0.5, 0.5), (1.5, 0.5), (0.0, 1.0)])
def test_weights_that_do_not_sum_to_one(factor, gap):
    """Too little is as far from it as too much."""

    class Scaled(LayerRule):
        def attribute(self, inputs, baselines=None):
            return factor * super().attribute(inputs, baselines)

    found = principles(functools.partial(Scaled, rule="rescale"), None, None, test="B")
    for each in found.column_gap.values():
        assert each == pytest.approx(gap, abs=1e-7)


@pytest.mark.parametrize(("name", "method"), [*FAIR_RULES.items(), *DEEP.items()])
def test_fair_layer_rules_have_universal_weights(name, method):
    found = principles(method, None, None, test="B")
    assert max(found.residual.values()) < 1e-7
    assert max(found.off_support.values()) < 1e-7
    assert max(found.column_gap.values()) < 1e-7
    assert found.representable
    for order, weights in found.weights.items():
        expected = allocation_weights(name, found.kappas(order), (1, 1, -1, -1))
        torch.testing.assert_close(weights, expected.T, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("rule", "residual", "shares"),
    [("alpha_beta", 0.28, (0.31, 0.33, 0.22, 0.21)), ("z_plus", 0.19, (0.27, 0.27, 0, 0))],
)
def test_sign_group_rules_give_to_strangers(rule, residual, shares):
    found = principles(functools.partial(LayerRule, rule=rule), None, None, test="B")
    assert found.residual[2] == pytest.approx(residual, abs=0.1)
    assert not found.representable
    assert found.extended_residual[2] < 1e-12
    assert found.unrelated_share[2] == pytest.approx(shares, abs=0.12)
    assert "test B" in str(found)


def test_shapley_of_a_neuron_by_its_weights():
    class NeuronShapley:
        def __init__(self, model):
            self.model = model

        def attribute(self, inputs):
            return shapley(self.model)(inputs)

    found = principles(NeuronShapley, None, None, test="B")
    assert found.representable
    assert max(found.off_support.values()) < 1e-7
    for kappa, weights in zip(found.kappas(3).tolist(), found.weights[3].T, strict=True):
        inside = torch.tensor(kappa) > 0
        torch.testing.assert_close(weights, inside / inside.sum().double(), atol=1e-7, rtol=0)


def test_interactions_plot(tmp_path):
    matplotlib.use("Agg")
    case = CASES["T9"]
    effects = harsanyi_dividends(case.net(), case.inputs(), names=["a", "b", "c", "d"])
    axes = plot.interactions(effects)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c", "d"]
    drawn = axes.images[0].get_array()
    assert drawn[1, 2] == pytest.approx(1.5)
    assert axes.images[0].get_clim() == (-3.0, 3.0)
    pairs = pairwise_terms(case.net(), case.inputs())
    axes = plot.interactions(pairs, top=3, diagonal=False, names=["a", "b", "c", "d"])
    assert axes.images[0].get_array().shape == (3, 3)
    assert axes.images[0].get_clim() == (-1.5, 1.5)
    axes.figure.savefig(tmp_path / "interactions.png")
    with pytest.raises(ValueError, match=r"effects must have shape \[batch, n, n\]"):
        plot.interactions(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match="example must be below 1"):
        plot.interactions(pairs, example=1)


def test_errors():
    case = CASES["T3"]
    with pytest.raises(ValueError, match="test must be one of 'A', 'B', 'C'"):
        principles(FeatureAblation, case.net(), case.inputs(), test="D")
    with pytest.raises(TypeError, match="method must be a class or a partial"):
        principles(FeatureAblation(case.net()), case.net(), case.inputs(), test="B")
    with pytest.raises(TypeError, match="method must be a name, a class, an object with attribute"):
        principles(3, case.net(), case.inputs())
    many = Polynomial({(1,) * 17: 1.0})
    with pytest.raises(ValueError, match="at most 16 players"):
        principles(FeatureAblation, many, torch.ones(1, 17, dtype=torch.float64))
    with pytest.raises(ValueError, match="attributions must have 3 values in each row"):
        principles(lambda x: x[:, :2], case.net(), case.inputs())
    with pytest.raises(TypeError, match="method must return a tensor"):
        principles(lambda x: [x], case.net(), case.inputs())
