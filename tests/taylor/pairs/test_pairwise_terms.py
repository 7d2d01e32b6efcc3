"""Pair effects for many players, by masks and by Hessians."""

from __future__ import annotations

import itertools

import pytest
import torch
from closed_forms import CASES
from deep_mlps import mlp, points
from torch import nn

from pyxai import PyxaiWarning
from pyxai.taylor import (
    harsanyi_dividends,
    pairwise_terms,
    taylor_effects,
)


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


def test_errors_and_printing():
    case = CASES["T3"]
    with pytest.raises(ValueError, match="context must be left out for kind 'path'"):
        pairwise_terms(case.net(), case.inputs(), kind="path", context="input")
    with pytest.raises(ValueError, match="kind must be one of"):
        pairwise_terms(case.net(), case.inputs(), kind="hessian")
    pairs = pairwise_terms(case.net(), case.inputs(), names=["a", "b", "c"])
    assert pairs.top(1) == [((0, 1), 18.0)]
    assert "a x b" in str(pairs)
