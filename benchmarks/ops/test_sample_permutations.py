"""Random orders and the coalitions along them, against sorted random keys in torch."""

import pytest
import torch
from _timing import compare

from pyxai.ops import (
    pack_masks,
    permutation_prefixes,
    permutation_prefixes_reference,
    sample_permutations,
    sample_permutations_reference,
)

EXAMPLES, ORDERS = 32, 50


@pytest.mark.parametrize("n_players", [12, 64])
def test_sample_permutations(benchmark, n_players):
    torch.set_num_threads(2)
    row = {"seed": 0, "example_ids": torch.arange(EXAMPLES)}
    few = sample_permutations(n_players, 3, **row)
    assert torch.equal(few, sample_permutations_reference(n_players, 3, **row))
    compare(
        benchmark,
        lambda: sample_permutations(n_players, ORDERS, **row),
        {"eager": lambda: torch.rand(EXAMPLES, ORDERS, n_players).argsort(-1)},
    )


@pytest.mark.parametrize("n_players", [12, 64])
def test_permutation_prefixes(benchmark, n_players):
    torch.set_num_threads(2)
    orders = sample_permutations(n_players, ORDERS, seed=0, example_ids=torch.arange(EXAMPLES))
    assert torch.equal(permutation_prefixes(orders), permutation_prefixes_reference(orders))

    def eager():
        positions = orders.argsort(-1)
        return pack_masks(positions.unsqueeze(-2) < torch.arange(n_players + 1).unsqueeze(-1))

    compare(benchmark, lambda: permutation_prefixes(orders), {"eager": eager}, rounds=7)
