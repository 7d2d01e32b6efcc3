"""Integrated Hessians of smooth functions and across kinks."""

from __future__ import annotations

import math

import pytest
import torch
from closed_forms import CASES, E2, one_layer, two_layers
from deep_mlps import mlp, points
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.taylor import (
    integrated_hessians,
    pairwise_terms,
)

ANALYTIC = [name for name, case in CASES.items() if not case.piecewise_linear]


@pytest.mark.parametrize("name", ANALYTIC)
def test_path_effects_of_smooth_functions(name):
    case = CASES[name]
    found = integrated_hessians(case.net(), case.inputs())
    assert found.mode == "smooth"
    expected = case.expected("integrated_gradients")
    torch.testing.assert_close(found.matrix.sum(2), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.attributions, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.matrix, found.matrix.transpose(1, 2))
    assert found.residual.abs().max() < 1e-9
    assert found.row_gap.abs().max() < 1e-9
    pairs = pairwise_terms(case.net(), case.inputs(), kind="path")
    torch.testing.assert_close(pairs.pairs[0, 0], 2 * found.matrix[0, 0, 1])
    torch.testing.assert_close(pairs.main[0, 0], found.matrix[0, 0, 0])
    assert pairs.residual.abs().max() < 1e-9
    if case.polynomial:  # weights (kappa_i / k)(kappa_j / k)
        gamma = torch.zeros(case.n, case.n, dtype=torch.float64)
        for kappa, coefficient in case.polynomial.items():
            share = torch.tensor(kappa, dtype=torch.float64) / sum(kappa)
            term = coefficient * math.prod(v**k for v, k in zip(case.x, kappa, strict=True))
            gamma += term * torch.outer(share, share)
        torch.testing.assert_close(found.matrix[0], gamma, atol=1e-9, rtol=0)


def test_quadrature_error_on_a_tanh_neuron():
    net, x = one_layer([2.0, -1.0, 0.5], 0.3, nn.Tanh()), torch.ones(1, 3, dtype=torch.float64)
    exact = integrated_hessians(net, x, n_steps=100).matrix
    for n_steps, bound in ((8, 1e-4), (16, 1e-8), (32, 1e-10)):
        found = integrated_hessians(net, x, n_steps=n_steps).matrix
        assert (found - exact).abs().max() < bound


def neuron_hessian(u, bias):
    """Return the closed form of one ReLU neuron (spec of integrated Hessians)."""
    u = torch.tensor(u, dtype=torch.float64)
    total = u.sum().item()
    kink = -bias / total
    if not 0 < kink < 1:
        return torch.diag(u) * float(bias + total > 0 and bias > 0)
    after = kink - kink * math.log(kink)
    diagonal = 1 - after if total > 0 else after
    return kink * -math.log(kink) / abs(total) * torch.outer(u, u) + torch.diag(u) * diagonal


@pytest.mark.parametrize(
    ("u", "bias"), [(E2["u"], E2["bias"]), ((-2.0, 0.5, -1.0), 1.0), ((1.0, 2.0), -9.0)]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_relu_neuron(u, bias, dtype, tolerance):
    net = one_layer(list(u), bias, nn.ReLU()).to(dtype)
    found = integrated_hessians(net, torch.ones(1, len(u), dtype=dtype))
    assert found.mode == "kinks"
    torch.testing.assert_close(found.matrix[0], neuron_hessian(u, bias), atol=tolerance, rtol=0)
    if bias == E2["bias"]:
        expected = torch.tensor(E2["integrated_hessian"], dtype=torch.float64)
        torch.testing.assert_close(found.matrix[0], expected, atol=tolerance, rtol=0)
        rows = found.matrix.sum(2)[0].tolist()
        assert rows == pytest.approx(E2["integrated_gradients"], abs=tolerance)


@pytest.mark.parametrize("name", ["T1", "T4", "T5", "T8"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_rows_of_piecewise_linear_nets_sum_to_integrated_gradients(name, dtype, tolerance):
    case = CASES[name]
    found = integrated_hessians(case.net(dtype), case.inputs(dtype))
    expected = case.expected("integrated_gradients")
    torch.testing.assert_close(found.matrix.sum(2), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_deep_relu_nets_have_pair_effects_and_exact_rows(seed):
    found = integrated_hessians(mlp(nn.ReLU(), seed=seed), points(2, 6, seed + 5))
    assert found.mode == "kinks"
    assert found.note == ""
    assert found.residual.abs().max() < 1e-12
    assert found.row_gap.abs().max() < 1e-12
    off = found.matrix - torch.diag_embed(found.matrix.diagonal(dim1=1, dim2=2))
    assert off.abs().max() > 1e-3


def test_deep_relu_nets_are_the_limit_of_softplus_nets():
    relu, x = mlp(nn.ReLU(), width=8, n=3, seed=1), points(1, 3, 6)
    exact = integrated_hessians(relu, x)
    errors = []
    for beta in (100.0, 1000.0):
        smooth = integrated_hessians(relu, x, mode="softplus", beta=beta)
        assert f"softplus(beta={beta:g})" in smooth.note
        assert smooth.row_gap.abs().max() < 1e-3
        errors.append((smooth.matrix - exact.matrix).abs().max().item())
    assert errors[1] < 0.3 * errors[0]
    assert errors[1] < 0.01 * exact.matrix.abs().max()


def test_integrated_hessians_of_images_in_patches():
    """Any shape of inputs, float64 throughout; players are sums of their pixels."""
    net = nn.Sequential(nn.Flatten(), mlp(nn.Tanh(), n=12, seed=2))
    x = points(2, 12, 7).reshape(2, 1, 3, 4).requires_grad_()
    flat = integrated_hessians(net[1], x.detach().flatten(1))
    image = integrated_hessians(net, x)
    torch.testing.assert_close(image.matrix, flat.matrix)
    assert image.matrix.dtype == torch.float64
    patches = torch.tensor([0, 0, 1, 1]).expand(1, 1, 3, 4)
    found = integrated_hessians(net, x, feature_mask=patches)
    member = nn.functional.one_hot(patches.flatten()).double()
    torch.testing.assert_close(found.matrix, member.T @ flat.matrix @ member)
    assert x.requires_grad
    assert x.grad is None


def test_kinks_of_max_pool_abs_and_functional_relu():
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    last = torch.randn(4, generator=generator, dtype=torch.float64)

    def model(x):
        hidden = nn.functional.max_pool1d((x @ first.T + 0.2)[:, None], 2)[:, 0]
        return (torch.relu(hidden) - 0.3 * hidden.abs()) @ last

    x = points(3, 5)
    found = integrated_hessians(model, x, baselines=0.1)
    assert found.mode == "kinks"
    assert found.row_gap.abs().max() < 1e-12
    assert found.residual.abs().max() < 1e-12
    nodes = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    for e in range(3):
        rows = (0.1 + nodes[:, None] * (x[e] - 0.1)).requires_grad_()
        (slope,) = torch.autograd.grad(model(rows).sum(), rows)
        plain = (slope.mean(0) * (x[e] - 0.1)).tolist()
        assert found.attributions[e].tolist() == pytest.approx(plain, abs=1e-3)


def test_kinks_that_meet_on_the_path_are_told_apart():
    """Two units that switch at the same point of the path, at 0.5, share no interaction."""
    net = two_layers([[1, 0], [0, 1]], nn.ReLU(), [1, 1], [-0.5, -0.5])
    found = integrated_hessians(net, torch.ones(1, 2, dtype=torch.float64))
    expected = torch.diag(torch.tensor([0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(found.matrix[0], expected, atol=1e-12, rtol=0)
    # One switches on where the other switches off.
    net = two_layers([[1, 0], [0, -1]], nn.ReLU(), [1, 1], [-0.5, 0.5])
    found = integrated_hessians(net, torch.ones(1, 2, dtype=torch.float64))
    first, second = neuron_hessian([1.0], -0.5), neuron_hessian([-1.0], 0.5)
    expected = torch.diag(torch.stack([first[0, 0], second[0, 0]]))
    torch.testing.assert_close(found.matrix[0], expected, atol=1e-12, rtol=0)


def test_curved_models_with_kinks_are_never_silently_diagonal():
    def curved(x):
        return torch.relu(x.sum(1) - 1).exp()

    x = torch.ones(1, 2, dtype=torch.float64)
    with pytest.warns(PyxaiWarning, match=r"softplus\(beta=100\)"):
        found = integrated_hessians(curved, x)
    assert found.mode == "softplus"
    assert found.row_gap.abs().max() < 1e-2 * found.attributions.abs().max()
    assert found.matrix[0, 0, 1] > 0.1
    with pytest.warns(PyxaiWarning, match="see row_gap"):
        plain = integrated_hessians(curved, x, mode="smooth")
    assert plain.row_gap.abs().max() > 0.1

    def beside(x):  # the kink is not on the path: nothing to approximate
        return torch.relu(x.sum(1) + 1).exp()

    found = integrated_hessians(beside, x)
    assert found.mode == "smooth"
    assert found.row_gap.abs().max() < 1e-9
    with pytest.warns(PyxaiWarning), pytest.raises(UnsupportedOperationError, match="kinks of Abs"):
        integrated_hessians(lambda x: (x.sum(1) - 1).abs().exp(), x)


def test_softplus_reaches_every_form_of_relu_and_leaves_the_model():
    layer = nn.ReLU(inplace=True)

    def model(x):
        z = x * 1.0
        return (
            layer(z - 0.3) + torch.relu(z) + z.relu() + nn.functional.relu(z)
            + (z + 0).relu_() + torch.relu_(z + 0)
        ).sum(1)  # fmt: skip

    x = points(2, 3)
    before = model(x)
    found = integrated_hessians(model, x, mode="softplus", beta=10)
    assert found.row_gap.abs().max() < 1e-5
    assert torch.equal(model(x), before)


def test_errors_and_printing():
    case = CASES["T3"]
    with pytest.raises(ValueError, match="mode must be 'smooth', 'softplus' or 'auto'"):
        integrated_hessians(case.net(), case.inputs(), mode="kinks")
    with pytest.raises(ValueError, match="beta must be positive"):
        integrated_hessians(case.net(), case.inputs(), beta=0)
    hessians = integrated_hessians(CASES["T8"].net(), CASES["T8"].inputs(), names=["a", "b"])
    assert "a x b" in str(hessians)
    assert "mode kinks" in str(hessians)
