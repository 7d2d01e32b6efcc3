"""Harsanyi dividends against nets whose effects are known exactly, and by enumeration."""

from __future__ import annotations

import itertools

import pytest
import torch
from closed_forms import CASES, one_layer
from torch import nn

from pyxai.ops import zeta_transform
from pyxai.taylor import harsanyi_dividends


def smooth_net(n: int, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(n, 7), nn.Tanh(), nn.Linear(7, 1), nn.Flatten(0)]
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / n**0.5)
    return net.eval()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_dividends_of_closed_forms(name, dtype, tolerance):
    case = CASES[name]
    effects = harsanyi_dividends(case.net(dtype), case.inputs(dtype))
    assert effects.values.dtype == torch.float64
    torch.testing.assert_close(
        effects.values[0], case.effects_table(), atol=tolerance * 10, rtol=tolerance
    )
    assert effects.residual.abs().max() <= effects.noise_floor.max()
    floor = effects.noise_floor[0]
    error = (effects.values[0] - case.effects_table()).abs()
    sizes = torch.tensor([bin(mask).count("1") for mask in range(2**case.n)])
    assert bool((error <= 4 * floor[sizes]).all())


@pytest.mark.parametrize("name", CASES)
def test_dual_system_sums_the_primal_one_from_above(name):
    case = CASES[name]
    primal = harsanyi_dividends(case.net(), case.inputs())
    dual = harsanyi_dividends(case.net(), case.inputs(), anchor="input")
    for mask in range(1, 2**case.n):
        above = [r for r in range(2**case.n) if r & mask == mask]
        expected = (-1) ** (bin(mask).count("1") + 1) * primal.values[0, above].sum()
        torch.testing.assert_close(dual.values[0, mask], expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(dual.independent(), case.expected("occlusion_1"))
    assert dual.residual.abs().max() < 1e-12


def test_dividends_are_the_naive_subset_sums_and_their_sums_the_game():
    net, n = smooth_net(5), 5
    x, b = torch.randn(2, 3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    effects = harsanyi_dividends(net, x, baselines=b)

    def v(players):
        keep = torch.tensor([i in players for i in range(n)])
        return net(torch.where(keep, x, b))

    for size in range(n + 1):
        for subset in itertools.combinations(range(n), size):
            naive = sum(
                (-1) ** (size - len(inner)) * v(inner)
                for k in range(size + 1)
                for inner in itertools.combinations(subset, k)
            )
            torch.testing.assert_close(effects.effect(subset), naive, atol=1e-12, rtol=0)
            mask = sum(1 << i for i in subset)
            summed = zeta_transform(effects.values)[:, mask]
            torch.testing.assert_close(summed, v(subset), atol=1e-12, rtol=0)


def test_dividends_of_patches_batches_targets_and_outputs():
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    x = torch.randn(4, 1, 3, 4, dtype=torch.float64, generator=generator)
    mask = torch.tensor([0, 0, 1, 1]).expand(1, 1, 3, 4)
    effects = harsanyi_dividends(
        net,
        x,
        feature_mask=mask,
        target=[0, 1, 2, 0],
        output="probability",
        names=["left", "right"],
    )
    alone = harsanyi_dividends(net, x[2:3], feature_mask=mask, target=2, output="probability")
    torch.testing.assert_close(effects.values[2:3], alone.values)
    left = torch.where(mask == 0, x, torch.zeros_like(x))
    expected = net(left).softmax(1)[:, 1] - net(0 * x).softmax(1)[:, 1]
    torch.testing.assert_close(effects.effect([0])[1], expected[1])
    assert "{left}" in str(effects)


def test_null_players_and_equal_ends_have_no_effects():
    net = smooth_net(4)
    x = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    start = x.clone()
    start[:, 1:] = 0
    effects = harsanyi_dividends(net, x, baselines=start)
    assert effects.values[:, 1::2].abs().max() < 1e-14  # every set that holds player 0
    same = harsanyi_dividends(net, x, baselines=x)
    assert same.values[:, 1:].abs().max() < 1e-14


def test_whole_number_inputs_and_a_single_player():
    table = torch.tensor([0.0, 1.0, 10.0, 100.0], dtype=torch.float64)
    tokens = torch.tensor([[3, 2]])
    effects = harsanyi_dividends(lambda ids: table[ids].prod(1), tokens, baselines=1)
    assert effects.values[0].tolist() == [1.0, 99.0, 9.0, 891.0]
    one = harsanyi_dividends(lambda x: x[:, 0] ** 2, torch.tensor([[3.0]]), baselines=1.0)
    assert one.values[0].tolist() == [1.0, 8.0]


def test_readable_results():
    effects = harsanyi_dividends(CASES["T3"].net(), CASES["T3"].inputs(), names=["a", "b", "c"])
    text = str(effects)
    assert "{a, b}" in text
    assert "+18" in text
    assert effects.top(1) == [((0, 1), 18.0)]
    strongest = [effect for _, effect in effects.top(7)]
    assert [*map(abs, strongest)] == sorted(map(abs, strongest), reverse=True)
    assert strongest != sorted(strongest, reverse=True)
    assert effects.to_dict()[(1, 2)] == pytest.approx(-6)
    assert effects.strength_by_size()[0].tolist() == pytest.approx([0, 10, 24, 12])
    assert effects.pair_matrix()[0, 2].tolist() == pytest.approx([0, -6, -1])


def test_errors_say_what_to_do():
    net = one_layer([1.0] * 30, 0, None)
    x = torch.ones(2, 30, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"at most 24 players.*got 30.*1\.07e\+09 evaluations"
    ) as e:
        harsanyi_dividends(net, x)
    assert "pairwise_terms (466 evaluations" in str(e.value)
    assert "ShapleyValueSampling" in str(e.value)
    with pytest.raises(ValueError, match="anchor must be one of"):
        harsanyi_dividends(net, x[:, :3], anchor="middle")
    with pytest.raises(ValueError, match=r"baselines must .* got \[4\]"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3], baselines=torch.ones(4))
    with pytest.raises(ValueError, match="names must have 3 entries"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3], names=["a"])
    with pytest.raises(ValueError, match="players must be in"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3]).effect([3])
    with pytest.raises(ValueError, match="one output for each example"):
        harsanyi_dividends(lambda t: t.sum(), x[:, :3])
