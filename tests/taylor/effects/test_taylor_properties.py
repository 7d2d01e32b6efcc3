"""Identities between methods and effects on random nets and polynomials."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyxai.attribution import (
    DeepLift,
    DeepLiftShap,
    ExpectedGradients,
    FeatureAblation,
    IntegratedGradients,
    PredictionDifference,
    ShapleyValues,
)
from pyxai.imputers import Marginal
from pyxai.ops import shapley_values_from_table, zeta_transform
from pyxai.taylor import (
    Polynomial,
    attribution_from_effects,
    harsanyi_dividends,
    integrated_hessians,
)

N = 4
SMOOTH = {"tanh": nn.Tanh, "softplus": nn.Softplus, "gelu": nn.GELU}
ALL = {**SMOOTH, "relu": nn.ReLU}


def net_with(activation, hidden_layers=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layers, width = [], N
    for _ in range(hidden_layers):
        layers += [nn.Linear(width, 6), ALL[activation]()]
        width = 6
    net = nn.Sequential(*layers, nn.Linear(width, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(draw / parameter.shape[-1] ** 0.5)
    return net.eval().requires_grad_(False)


def rows(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, N, dtype=torch.float64, generator=generator)


def exact_ig(net, x, b):
    return integrated_hessians(net, x, baselines=b).attributions


@pytest.mark.parametrize("activation", ALL)
@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_complete_methods_sum_to_the_change(activation, hidden_layers):
    net, x, b = net_with(activation, hidden_layers), rows(3), rows(1, 2)
    change = net(x) - net(b)
    attributions = [
        exact_ig(net, x, b),
        ShapleyValues(net).attribute(x, b),
        DeepLift(net).attribute(x, b),
        DeepLift(net, rule="reveal_cancel").attribute(x, b),
        DeepLiftShap(net, rule="neuron_shapley").attribute(x, b),
    ]
    for found in attributions:
        torch.testing.assert_close(found.sum(1), change, atol=1e-9, rtol=0)


@pytest.mark.parametrize("activation", ALL)
def test_one_hidden_layer(activation):
    """There Rescale is integrated gradients, and neuron-Shapley the Shapley value."""
    net, x, b = net_with(activation), rows(3), rows(1, 2)
    rescale = DeepLift(net).attribute(x, b)
    torch.testing.assert_close(rescale, exact_ig(net, x, b), atol=1e-9, rtol=0)
    neuron = DeepLiftShap(net, rule="neuron_shapley").attribute(x, b)
    torch.testing.assert_close(neuron, ShapleyValues(net).attribute(x, b), atol=1e-9, rtol=0)


@pytest.mark.parametrize("activation", SMOOTH)
def test_methods_over_baselines_sum_to_the_mean_change(activation):
    net, x, background = net_with(activation, 2), rows(3), rows(5, 3)
    change = net(x) - net(background).mean()
    for found in (
        ExpectedGradients(net).attribute(x, background),
        DeepLiftShap(net).attribute(x, background),
        DeepLiftShap(net, rule="neuron_shapley").attribute(x, background),
    ):
        torch.testing.assert_close(found.sum(1), change, atol=1e-9, rtol=0)


@pytest.mark.parametrize("activation", ALL)
def test_methods_by_masks_are_sums_of_effects(activation):
    net, x, b = net_with(activation, 2), rows(3), rows(1, 2)
    effects = harsanyi_dividends(net, x, baselines=b)
    shapley = ShapleyValues(net).attribute(x, b)
    found = attribution_from_effects("shapley_value", effects)
    torch.testing.assert_close(found, shapley, atol=1e-12, rtol=0)
    by_table = shapley_values_from_table(zeta_transform(effects.values))
    torch.testing.assert_close(by_table, shapley, atol=1e-12, rtol=0)
    found = attribution_from_effects("occlusion_1", effects)
    torch.testing.assert_close(found, FeatureAblation(net).attribute(x, b), atol=1e-12, rtol=0)
    mask = torch.tensor([[0, 1, 0, 1]])
    found = attribution_from_effects("occlusion_patch", effects, patches=[[0, 2], [1, 3]])
    patch = FeatureAblation(net).attribute(x, b, feature_mask=mask)
    torch.testing.assert_close(found, patch, atol=1e-12, rtol=0)


@pytest.mark.parametrize("activation", ALL)
def test_effects_over_baselines_are_effects_of_the_averaged_game(activation):
    net, x, background = net_with(activation, 2), rows(2), rows(3, 4)
    averaged = harsanyi_dividends(net, x, imputer=Marginal(background))
    each = [harsanyi_dividends(net, x, baselines=row) for row in background]
    mean = torch.stack([effects.values for effects in each]).mean(0)
    torch.testing.assert_close(averaged.values, mean, atol=1e-12, rtol=0)
    expected = PredictionDifference(net).attribute(x, background)
    found = attribution_from_effects("prediction_difference", each)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    shapley = ShapleyValues(net).attribute(x, imputer=Marginal(background))
    found = attribution_from_effects("shapley_value", each)
    torch.testing.assert_close(found, shapley, atol=1e-12, rtol=0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), half_degree=st.integers(1, 3))
def test_gauss_legendre_nodes_are_exact_to_twice_their_number(seed, half_degree):
    generator = torch.Generator().manual_seed(seed)
    polynomial = Polynomial.random(3, 2 * half_degree, generator=generator, density=0.5)
    x, b = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    terms = polynomial.taylor_terms(x, b[0].tolist())
    found = IntegratedGradients(polynomial).attribute(x, b[:1], n_steps=half_degree)
    exact = attribution_from_effects("integrated_gradients", terms)
    scale = 1 + terms.values.abs().sum().item()
    torch.testing.assert_close(found, exact, atol=1e-11 * scale, rtol=0)
    hessians = integrated_hessians(polynomial, x, baselines=b[:1])
    torch.testing.assert_close(hessians.matrix.sum(2), exact, atol=1e-8 * scale, rtol=0)
