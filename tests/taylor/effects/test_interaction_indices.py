"""Interaction indices of game theory against their definitions, by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from closed_forms import CASES
from torch import nn

from pyxai.taylor import harsanyi_dividends, interaction_indices


def game_of_five():
    """Return a ReLU net of five inputs and one input."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(draw / parameter.shape[-1] ** 0.5)
    return net.eval(), torch.randn(1, 5, dtype=torch.float64, generator=generator)


def subset_values(effects):
    n = effects.n_players
    v = np.zeros(2**n)
    for mask in range(2**n):
        inside = [s for s in range(2**n) if s & mask == s]
        v[mask] = effects.values[0, inside].sum()
    return v


def brute_interaction(v, n, players, weight):
    """Return ``sum over T of weight(|T|) * discrete derivative of the set at T``."""
    rest = [i for i in range(n) if i not in players]
    total = 0.0
    for size in range(len(rest) + 1):
        for outside in itertools.combinations(rest, size):
            base = sum(1 << i for i in outside)
            derivative = sum(
                (-1) ** (len(players) - len(inner)) * v[base + sum(1 << i for i in inner)]
                for k in range(len(players) + 1)
                for inner in itertools.combinations(players, k)
            )
            total += weight(size) * derivative
    return total


@pytest.mark.parametrize("order", [1, 2, 3])
def test_indices_against_their_definitions(order):
    n, (net, x) = 5, game_of_five()
    effects = harsanyi_dividends(net, x)
    v = subset_values(effects)
    shapley = interaction_indices(net, x, index="shapley_interaction", order=order)
    banzhaf = interaction_indices(net, x, index="banzhaf_interaction", order=order)
    taylor = interaction_indices(net, x, index="shapley_taylor", order=order)
    for number, players in enumerate(shapley.sets):
        s = len(players)

        def weight(t, s=s):
            return math.factorial(n - t - s) * math.factorial(t) / math.factorial(n - s + 1)

        expected = brute_interaction(v, n, players, weight)
        assert shapley.values[0, number].item() == pytest.approx(expected, abs=1e-12)
        expected = brute_interaction(v, n, players, lambda t, s=s: 0.5 ** (n - s))
        assert banzhaf.values[0, number].item() == pytest.approx(expected, abs=1e-12)
        if s == order:  # Sundararajan et al., definition of the index at the top order
            expected = brute_interaction(v, n, players, lambda t, s=s: s / n / math.comb(n - 1, t))
        else:
            expected = effects.effect(players).item()
        assert taylor.values[0, number].item() == pytest.approx(expected, abs=1e-12)
    change = v[-1] - v[0]
    assert taylor.values.sum().item() == pytest.approx(change, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("index", ["faith_shap", "faith_banzhaf"])
def test_faithful_indices_are_the_best_fit(index, order):
    n, (net, x) = 5, game_of_five()
    found = interaction_indices(net, x, index=index, order=order)
    v = subset_values(harsanyi_dividends(net, x))
    sets = [(), *found.sets]
    rows = []
    for mask in range(2**n):
        inside = {i for i in range(n) if mask >> i & 1}
        rows.append([float(set(s) <= inside) for s in sets])
    design = np.array(rows)
    sizes = design[:, 1 : n + 1].sum(1)
    if index == "faith_shap":
        kernel = [
            1e8 if size in (0, n) else (n - 1) / (math.comb(n, int(size)) * size * (n - size))
            for size in sizes
        ]
    else:
        kernel = [1.0] * len(sizes)
    root = np.sqrt(np.array(kernel))
    fit = np.linalg.lstsq(root[:, None] * design, root * v, rcond=None)[0]
    assert found.values[0].tolist() == pytest.approx(fit[1:].tolist(), abs=1e-6)


def test_pair_matrix_and_printing_of_indices():
    case = CASES["T3"]
    found = interaction_indices(case.net(), case.inputs(), names=["a", "b", "c"])
    # Shapley interaction of {a, b}: J + J123 / 2
    assert found.get(1, 0).item() == pytest.approx(18 - 6)
    assert found.matrix()[0, 1, 2].item() == pytest.approx(-6 - 6)
    assert "not a Taylor effect" in str(found)
    assert "{a, b}" in str(found)
    with pytest.raises(ValueError, match="players must be 1 to 2 different"):
        found.get(0, 1, 2)
    with pytest.raises(ValueError, match="order must be at most the number of players, 3, got 4"):
        interaction_indices(case.net(), case.inputs(), order=4)
    with pytest.raises(ValueError, match="index must be one of"):
        interaction_indices(case.net(), case.inputs(), index="sii")
