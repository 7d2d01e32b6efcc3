"""Pair effects for many players, integrated Hessians across kinks, interaction indices."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from closed_forms import CASES, E2, one_layer, two_layers
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.taylor import (
    harsanyi_dividends,
    integrated_hessians,
    pairwise_terms,
    taylor_effects,
)

ANALYTIC = [name for name, case in CASES.items() if not case.piecewise_linear]


def mlp(activation, width=12, n=6, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(n, width), activation, nn.Linear(width, width), activation, nn.Linear(width, 1)
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(scale * draw / parameter.shape[-1] ** 0.5)
    return nn.Sequential(net, nn.Flatten(0)).eval()


def points(batch, n, seed=1):
    return torch.randn(batch, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", CASES)
def test_pairs_by_masking_are_dividends_and_sums_of_dividends(name):
    case = CASES[name]
    effects = harsanyi_dividends(case.net(), case.inputs())
    low = pairwise_terms(case.net(), case.inputs())
    high = pairwise_terms(case.net(), case.inputs(), context="input")
    mean = pairwise_terms(case.net(), case.inputs(), context="mean")
    torch.testing.assert_close(low.matrix, effects.pair_matrix(), atol=1e-12, rtol=0)
    for i, j in itertools.combinations(range(case.n), 2):
        both = (1 << i) | (1 << j)
        above = [r for r in range(2**case.n) if r & both == both]
        expected = effects.values[0, above].sum().item()
        assert high.matrix[0, i, j].item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(high.main, case.expected("occlusion_1"))
    torch.testing.assert_close(mean.matrix, (low.matrix + high.matrix) / 2)
    larger = effects.values[0, [m for m in range(2**case.n) if bin(m).count("1") > 2]].sum()
    torch.testing.assert_close(low.residual[0], larger, atol=1e-12, rtol=0)
    assert low.pairs.shape == (1, case.n * (case.n - 1) // 2)


def test_pairs_of_hundreds_of_players():
    n = 120
    generator = torch.Generator().manual_seed(0)
    coupling = torch.randn(n, n, generator=generator, dtype=torch.float64).triu(1)
    weights = torch.randn(n, generator=generator, dtype=torch.float64)

    def model(x):
        return torch.einsum("bi,ij,bj->b", x, coupling, x) + x @ weights

    x = points(2, n)
    outer = x[:, :, None] * x[:, None, :] * (coupling + coupling.T)
    expected = outer + torch.diag_embed(x * weights)
    for kind in ("values", "taylor"):
        found = pairwise_terms(model, x, kind=kind)
        torch.testing.assert_close(found.matrix, expected, atol=1e-9, rtol=0)
        assert found.residual.abs().max() < 1e-9
        at_input = pairwise_terms(model, x, kind=kind, context="input")
        torch.testing.assert_close(at_input.pairs, found.pairs, atol=1e-9, rtol=0)
        torch.testing.assert_close(at_input.main, expected.sum(2), atol=1e-9, rtol=0)
        assert at_input.residual.abs().max() < 1e-9


def test_hessian_pairs_of_patches_are_segment_sums():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    x = points(3, 12).reshape(3, 1, 3, 4)
    patches = torch.tensor([0, 0, 1, 2]).expand(1, 1, 3, 4)
    target = torch.tensor([0, 1, 0])
    found = pairwise_terms(net, x, kind="taylor", feature_mask=patches, target=target)
    for e in range(3):
        zero = torch.zeros(1, 1, 3, 4, dtype=torch.float64)
        hessian = torch.autograd.functional.hessian(lambda z, e=e: net(z)[0, target[e]], zero)
        hessian = hessian.reshape(12, 12) * x[e].flatten()[:, None] * x[e].flatten()
        belongs = nn.functional.one_hot(patches.flatten(), 3).double()
        summed = belongs.T @ hessian @ belongs
        for i, j in itertools.combinations(range(3), 2):
            assert found.matrix[e, i, j].item() == pytest.approx(summed[i, j].item(), abs=1e-12)


def test_per_example_players():
    model = CASES["T9"].net()
    x = points(2, 4)
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    both = pairwise_terms(model, x, kind="taylor", feature_mask=mask)
    for e in range(2):
        alone = pairwise_terms(model, x[e : e + 1], kind="taylor", feature_mask=mask[e : e + 1])
        torch.testing.assert_close(both.matrix[e], alone.matrix[0])


def test_hessian_form_is_the_second_order_part_and_misses_the_rest():
    net, x = mlp(nn.Tanh()), points(2, 6)
    orders = taylor_effects(net, x, kind="order", max_order=2)
    found = pairwise_terms(net, x, kind="taylor")
    for i, j in itertools.combinations(range(6), 2):
        expected = orders.values[:, 1, (1 << i) | (1 << j)]
        torch.testing.assert_close(found.matrix[:, i, j], expected)
    gaps = []
    for step in (0.25, 0.125):
        exact = pairwise_terms(net, step * x, kind="values").pairs
        gaps.append((pairwise_terms(net, step * x, kind="taylor").pairs - exact).abs().max())
    assert 4 < gaps[0] / gaps[1] < 16  # third order in the step: about 8


def test_hessian_form_warns_on_relu_nets():
    with pytest.warns(PyxaiWarning, match=r"kinks \(Relu\)"):
        found = pairwise_terms(CASES["T5"].net(), CASES["T5"].inputs(), kind="taylor")
    assert found.pairs.abs().max() == 0
    assert found.residual.abs().max() > 0.5


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
    with pytest.raises(ValueError, match="context must be left out for kind 'path'"):
        pairwise_terms(case.net(), case.inputs(), kind="path", context="input")
    with pytest.raises(ValueError, match="kind must be one of"):
        pairwise_terms(case.net(), case.inputs(), kind="hessian")
    with pytest.raises(ValueError, match="mode must be 'smooth', 'softplus' or 'auto'"):
        integrated_hessians(case.net(), case.inputs(), mode="kinks")
    with pytest.raises(ValueError, match="beta must be positive"):
        integrated_hessians(case.net(), case.inputs(), beta=0)
    pairs = pairwise_terms(case.net(), case.inputs(), names=["a", "b", "c"])
    assert pairs.top(1) == [((0, 1), 18.0)]
    assert "a x b" in str(pairs)
    hessians = integrated_hessians(CASES["T8"].net(), CASES["T8"].inputs(), names=["a", "b"])
    assert "a x b" in str(hessians)
    assert "mode kinks" in str(hessians)
