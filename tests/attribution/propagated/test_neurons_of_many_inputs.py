"""Deep SHAP by its definition where neurons have more inputs than can be enumerated."""

import math

import pytest
import torch
from torch import nn

import pyxai
from pyxai import PyxaiWarning
from pyxai.attribution import DeepLiftShap
from pyxai.propagation.multipliers import random_sums

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def problem(n_inputs, activation, seed, hidden=8):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(n_inputs, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, 1)
        model = nn.Sequential(*layers).double()
        x, b = torch.randn(2, 1, n_inputs, dtype=torch.float64)
    return model, x, b


def contributions(model, x, b):
    """The neurons' inputs, [n_inputs, hidden], and their values at the baseline, [hidden]."""
    first = model[0]
    return ((x - b) * first.weight).T.detach(), first(b)[0].detach()


def by_enumeration(model, x, b):
    """Shapley values of the inputs of each hidden neuron, summed with the output's weights."""
    each, start = contributions(model, x, b)
    n = len(each)
    bits = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1
    values = model[1](start + bits.double() @ each) @ model[2].weight[0].detach()
    sizes = bits.sum(1)
    weights = torch.tensor([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    result = []
    for i in range(n):
        without = (bits[:, i] == 0).nonzero()[:, 0]
        gains = values[without + 2**i] - values[without]
        result.append((weights.double()[sizes[without]] * gains).sum())
    return torch.stack(result)[None]


def by_orders(model, x, b, count):
    """The same from many random orders, and the standard error."""
    each, start = contributions(model, x, b)
    generator = torch.Generator().manual_seed(11)
    total, squares = torch.zeros(2, len(each), dtype=torch.float64)
    for _ in range(count // 1000):
        orders = torch.rand(1000, len(each), generator=generator).argsort(1)
        path = start + each[orders].cumsum(1)
        path = torch.cat([start.expand(1000, 1, -1), path], 1)
        gains = (model[1](path) @ model[2].weight[0].detach()).diff(dim=1)
        gains = torch.zeros_like(gains).scatter_(1, orders, gains)
        total += gains.sum(0)
        squares += gains.square().sum(0)
    mean = total / count
    return mean[None], ((squares / count - mean.square()) / count).sqrt()[None]


def eight_questions(n_inputs, activation):
    """One net, which is traced once, at eight random inputs."""
    model, _, b = problem(n_inputs, activation, 0)
    generator = torch.Generator().manual_seed(1)
    return model, torch.randn(8, n_inputs, generator=generator, dtype=torch.float64), b


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_default_is_right_to_two_percent_where_all_sets_can_be_enumerated(activation):
    model, x, b = eight_questions(13, activation)
    found, delta, error = DeepLiftShap(model, rule="neuron_shapley").attribute(
        x, b, return_convergence_delta=True, return_error=True
    )
    exact = torch.cat([by_enumeration(model, row[None], b) for row in x])
    miss = (found - exact).abs().amax(1)
    assert (miss < 0.02 * exact.abs().amax(1)).all()
    assert delta.abs().max() < 1e-12
    assert (error > 0).any()
    assert (error.amax(1) < 0.02 * exact.abs().amax(1)).all()
    assert (miss < 3 * error.amax(1)).all()


@pytest.mark.parametrize("n_inputs", [40, 150])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_default_is_right_to_two_percent_at_wide_fan_in(activation, n_inputs):
    """16 permutations, the default that was, err by up to 15 % at 40 inputs."""
    model, x, b = eight_questions(n_inputs, activation)
    found = DeepLiftShap(model, rule="neuron_shapley").attribute(x, b)
    for row, each in zip(x, found, strict=True):
        expected, spread = by_orders(model, row[None], b, 12_000 if n_inputs < 100 else 3000)
        allowed = 0.015 * expected.abs().max() + 4 * spread
        assert ((each - expected).abs() < allowed).all()


def test_rows_and_precision():
    model, x, b = problem(40, "relu", 0)
    x = torch.cat([x, x.flip(1), b, torch.where(torch.arange(40) < 3, x, b)])
    explainer = DeepLiftShap(model, rule="neuron_shapley")
    whole = explainer.attribute(x, b)
    for row in range(4):
        alone = explainer.attribute(x[row : row + 1], b)
        torch.testing.assert_close(alone, whole[row : row + 1], rtol=1e-10, atol=1e-13)
    assert (whole[2] == 0).all()  # nothing moves
    assert (whole[3, 3:] == 0).all()
    single = DeepLiftShap(model.float(), rule="neuron_shapley").attribute(x.float(), b.float())
    torch.testing.assert_close(single.double(), whole, rtol=1e-4, atol=1e-4)
    x.requires_grad_()
    assert explainer.attribute(x.detach().float(), b.float()).isfinite().all()


def test_neurons_are_taken_in_parts(monkeypatch):
    model, x, b = problem(20, "gelu", 0)
    whole = DeepLiftShap(model, rule="neuron_shapley").attribute(x, b)
    monkeypatch.setattr(random_sums, "ELEMENTS", 1)
    torch.testing.assert_close(DeepLiftShap(model, rule="neuron_shapley").attribute(x, b), whole)


@pytest.mark.parametrize("n_permutations", [None, 40])
def test_a_tolerance_is_met_example_by_example(n_permutations):
    model, x, b = problem(13, "relu", 1)
    x = torch.cat([x, 0.01 * x + 0.99 * b])
    explainer = DeepLiftShap(model, rule="neuron_shapley", n_permutations=n_permutations)
    first, error = explainer.attribute(x, b, return_error=True)
    bound = float(error[0].max()) / 3
    found, finer = explainer.attribute(x, b, return_error=True, tolerance=bound)
    assert finer.max() <= bound
    torch.testing.assert_close(found[1], first[1], rtol=0, atol=0)  # it was good enough at once
    alone = explainer.attribute(x[:1], b, tolerance=bound)
    torch.testing.assert_close(alone, found[:1], rtol=1e-10, atol=1e-13)
    exact = by_enumeration(model, x[:1], b)
    assert (found[0] - exact).abs().max() < 4 * bound
    with pytest.warns(PyxaiWarning, match=r"tolerance 1e-15 is not reached for 1 example"):
        explainer.attribute(x[:1], b, tolerance=1e-15)
    with pytest.raises(ValueError, match="tolerance must be positive and finite, got -1"):
        explainer.attribute(x, b, tolerance=-1)


def test_errors_of_permutations_are_their_spread():
    model, x, b = problem(13, "relu", 2)
    exact = by_enumeration(model, x, b)
    ratios = []
    for seed in range(20):
        explainer = DeepLiftShap(model, rule="neuron_shapley", n_permutations=16, seed=seed)
        found, error = explainer.attribute(x, b, return_error=True)
        ratios.append(torch.stack([(found - exact).square(), error.square()]).mean((1, 2)))
    missed, claimed = torch.stack(ratios).mean(0).sqrt()
    assert 0.7 < claimed / missed < 1.4


def test_explain_says_the_error_and_few_inputs_are_exact():
    model, x, b = problem(40, "relu", 0)
    said = pyxai.explain(model, x, method="deep_lift_shap", baselines=b, rule="neuron_shapley")
    assert 0 < said.error.max() < 0.02 * said.attributions.abs().max()
    assert "\n  error" in str(said)
    model, x, b = problem(6, "relu", 0)
    said = pyxai.explain(model, x, method="deep_lift_shap", baselines=b, rule="neuron_shapley")
    assert (said.error == 0).all()
    assert pyxai.explain(model, x, method="deep_lift_shap", baselines=b).error is None
