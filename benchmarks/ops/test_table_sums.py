"""Shapley values and pair interactions from a table, against sums over slices in NumPy."""

import math

import numpy as np
import pytest
import torch
from _timing import compare

from pyxai.ops import pair_interactions_from_table, shapley_values_from_table


def sizes_of(n_players):
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(n_players):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def shapley_by_slices(values, weights):
    """For each player one difference of halves, weighted by size; `weights` is [2**(n - 1)]."""
    n_players = len(values).bit_length() - 1
    out = np.empty(n_players)
    for player in range(n_players):
        halves = values.reshape(-1, 2, 1 << player)
        out[player] = ((halves[:, 1] - halves[:, 0]).ravel() * weights).sum()
    return out


@pytest.mark.parametrize("n_players", [16, 20])
def test_shapley_values_from_table(benchmark, n_players):
    torch.set_num_threads(1)
    values = torch.randn(2**n_players, dtype=torch.float64)
    table = np.array([1 / (n_players * math.comb(n_players - 1, t)) for t in range(n_players)])
    weights, array = table[sizes_of(n_players - 1)], values.numpy()
    ours = lambda: shapley_values_from_table(values)  # noqa: E731
    np.testing.assert_allclose(ours().numpy(), shapley_by_slices(array, weights), atol=1e-13)
    compare(
        benchmark,
        ours,
        {"numpy": lambda: shapley_by_slices(array, weights), "read": lambda: values.sum()},
        moved_bytes=values.nbytes,
    )


def pairs_by_slices(values, weights):
    n_players = len(values).bit_length() - 1
    out = np.zeros((n_players, n_players))
    for j in range(n_players):
        halves = values.reshape(-1, 2, 1 << j)
        derivative = (halves[:, 1] - halves[:, 0]).ravel()
        for i in range(j):
            quarters = derivative.reshape(-1, 2, 1 << i)
            second = (quarters[:, 1] - quarters[:, 0]).ravel()
            out[i, j] = out[j, i] = (second * weights).sum()
    return out


@pytest.mark.parametrize("n_players", [12, 16, 20])
def test_pair_interactions_from_table(benchmark, n_players):
    torch.set_num_threads(1)
    values = torch.randn(2**n_players, dtype=torch.float64)
    rest = n_players - 2
    table = np.array([1 / ((rest + 1) * math.comb(rest, t)) for t in range(rest + 1)])
    weights, array = table[sizes_of(rest)], values.numpy()
    ours = lambda: pair_interactions_from_table(values)  # noqa: E731
    found, expected = ours().numpy(), pairs_by_slices(array, weights)
    np.fill_diagonal(found, 0)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    compare(
        benchmark,
        ours,
        {"numpy": lambda: pairs_by_slices(array, weights), "read": lambda: values.sum()},
        moved_bytes=values.nbytes,
        rounds=7,
    )
