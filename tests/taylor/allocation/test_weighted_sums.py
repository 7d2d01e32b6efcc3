"""On polynomials every method is its weights times the effects, on points drawn at random."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from closed_forms import Power, one_layer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyxai.attribution import (
    LRP,
    DeepLift,
    DeepLiftShap,
    DeepTaylor,
    ExpectedGradients,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    PredictionDifference,
    ShapleyValues,
)
from pyxai.taylor import Polynomial, attribution_from_effects

N, ROWS = 3, 2
SEEDS = st.integers(0, 10**6)


def assert_same(found, terms, method, **options):
    """Compare with weights times terms, to rounding of sums of terms of this size."""
    sequence = terms if isinstance(terms, list) else [terms]
    scale = 1 + max(each.values.abs().sum().item() for each in sequence)
    expected = attribution_from_effects(method, terms, **options)
    torch.testing.assert_close(found, expected, atol=1e-11 * scale, rtol=0, msg=method)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_methods_of_the_function(seed):
    generator = torch.Generator().manual_seed(seed)
    f = Polynomial.random(N, 4, generator=generator, density=0.5)
    x, b = torch.randn(2, ROWS, N, generator=generator, dtype=torch.float64)
    start = b[:1]
    terms = f.taylor_terms(x, start[0].tolist())
    each = [f.taylor_terms(x, row.tolist()) for row in b]
    mask = torch.tensor([[0, 1, 0]])
    slopes = InputXGradient(f)
    for at in ("input", "baseline"):
        found = slopes.attribute(x, at=at, baselines=start)
        assert_same(found, terms, "gradient_x_input", at=at)
    assert_same(FeatureAblation(f).attribute(x, start), terms, "occlusion_1")
    found = FeatureAblation(f).attribute(x, start, feature_mask=mask)
    assert_same(found, terms, "occlusion_patch", patches=[[0, 2], [1]])
    assert_same(IntegratedGradients(f).attribute(x, start), terms, "integrated_gradients")
    assert_same(ExpectedGradients(f).attribute(x, b), each, "expected_gradients")
    assert_same(ShapleyValues(f).attribute(x, start), terms, "shapley_value")
    assert_same(PredictionDifference(f).attribute(x, b), each, "prediction_difference")


class ChannelMeans(nn.Module):
    """A polynomial of the channels' means over their positions."""

    def __init__(self, polynomial):
        super().__init__()
        self.features = nn.Identity()
        self.polynomial = polynomial

    def forward(self, maps):  # [batch, channels, positions]
        return self.polynomial(self.features(maps).mean(2))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_grad_cam(seed):
    generator = torch.Generator().manual_seed(seed)
    f = Polynomial.random(N, 4, generator=generator, density=0.5)
    maps = torch.randn(1, N, 5, generator=generator, dtype=torch.float64) + 2
    model = ChannelMeans(f)
    found = LayerGradCam(model, model.features).attribute(maps)[:, 0]
    terms = f.taylor_terms(maps.mean(2))
    assert_same(found, terms, "grad_cam", shares=maps[0] / maps[0].sum(1, keepdim=True))


def neuron(weights, bias, order):
    """Return ``(weights @ x + bias)^order`` and its polynomial."""
    coefficients = {}
    values = [*weights, bias]
    for chosen in itertools.combinations_with_replacement(range(len(values)), order):
        counts = [chosen.count(i) for i in range(len(values))]
        ways = math.factorial(order) / math.prod(map(math.factorial, counts))
        coefficients[tuple(counts)] = ways * math.prod(map(pow, values, counts))
    return one_layer(weights, bias, Power(order)), Polynomial(coefficients)


def draw_neuron(seed, order, with_bias):
    """Return the net, its polynomial with the bias as last variable, inputs, and contributions."""
    generator = torch.Generator().manual_seed(seed)
    weights = (torch.rand(N, generator=generator) + 0.2) * torch.tensor([1.0, -1.0, 1.0])
    bias = 0.3 if with_bias else 0.0
    net, polynomial = neuron([round(w, 3) for w in weights.tolist()], bias, order)
    x = torch.rand(1, N, generator=generator, dtype=torch.float64) + 0.1
    whole = torch.cat([x, torch.ones(1, 1, dtype=torch.float64)], 1)
    u = torch.cat([net[0].weight[0].detach() * x[0], torch.tensor([bias], dtype=torch.float64)])
    return net, polynomial, x, whole, u


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_layer_rules_that_share_out_the_output_of_a_neuron(order, with_bias, seed):
    """The bias is one more variable; what it gets is what it absorbs."""
    net, polynomial, x, whole, u = draw_neuron(seed, order, with_bias)
    terms = polynomial.taylor_terms(whole)

    def same(found, method, **options):
        weighted = attribution_from_effects(method, terms, **options)[:, :N]
        torch.testing.assert_close(found, weighted, atol=1e-11, rtol=1e-11, msg=method)

    same(LRP(net, epsilon=0.0).attribute(x), "lrp_epsilon")
    alpha_beta = LRP(net, rule="alpha_beta", alpha=1.4, beta=0.4)
    same(alpha_beta.attribute(x), "lrp_alpha_beta", contributions=u, alpha=1.4, beta=0.4)
    if not with_bias and net(x).item() > 0:  # z+ ignores biases
        same(DeepTaylor(net).attribute(x), "deep_taylor", contributions=u)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, order=st.integers(1, 4))
def test_layer_rules_that_share_out_the_change_of_a_neuron(seed, order):
    net, polynomial, x, whole, _ = draw_neuron(seed, order, True)
    generator = torch.Generator().manual_seed(seed + 1)
    b = torch.randn(ROWS, N, generator=generator, dtype=torch.float64)
    whole_b = torch.cat([b, torch.ones(ROWS, 1, dtype=torch.float64)], 1)
    each = [polynomial.taylor_terms(whole, row.tolist()) for row in whole_b]

    def same(found, method, effects, **options):
        weighted = attribution_from_effects(method, effects, **options)
        assert weighted[0, N].item() == pytest.approx(0, abs=1e-12)  # the bias does not change
        scale = 1 + max(one.values.abs().sum().item() for one in each)
        torch.testing.assert_close(found, weighted[:, :N], atol=1e-9 * scale, rtol=0, msg=method)

    same(DeepLift(net).attribute(x, b[:1]), "deeplift_rescale", each[0])
    signs = torch.cat([net[0].weight[0].detach() * (x - b)[0], torch.zeros(1).double()]).sign()
    found = DeepLift(net, rule="reveal_cancel").attribute(x, b[:1])
    same(found, "deeplift_reveal_cancel", each[0], signs=signs)
    for rule in ("rescale", "neuron_shapley"):
        found = DeepLiftShap(net, rule=rule).attribute(x, b)
        same(found, "deep_shap", each, rule=rule)


def test_rules_that_start_at_the_output_share_out_the_value_at_the_baseline_too():
    terms = Polynomial({(0, 0): 2.0, (1, 0): 1.0, (1, 1): 3.0}).taylor_terms(
        torch.tensor([[2.0, -1.0]], dtype=torch.float64)
    )
    # 2 + 2 - 6: the output is divided as the contributions are.
    for name, expected in (
        ("lrp_epsilon", [-2 * 1 / 4, -2 * 3 / 4]),
        ("deep_taylor", [-2 * 1 / 4, -2 * 3 / 4]),
    ):
        found = attribution_from_effects(name, terms, contributions=[1.0, 3.0])
        assert found[0].tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="contributions must be given for 'lrp_epsilon' when the"):
        attribution_from_effects("lrp_epsilon", terms)
