"""Packed random coalitions, against masks drawn by torch: the same law, other random numbers."""

import pytest
import torch
from _timing import compare

from pyxai.ops import pack_masks, sample_coalitions, sample_coalitions_reference

EXAMPLES, SAMPLES = 32, 1000


@pytest.mark.parametrize("n_players", [12, 30, 200])
@pytest.mark.parametrize("law", ["bernoulli", "fixed_size"])
def test_sample_coalitions(benchmark, law, n_players):
    torch.set_num_threads(2)
    size = n_players // 3
    options = {"law": law, "size": size} if law == "fixed_size" else {"probability": 0.3}
    row = {"seed": 0, "example_ids": torch.arange(EXAMPLES), **options}
    few = sample_coalitions(n_players, 4, **row)
    assert torch.equal(few, sample_coalitions_reference(n_players, 4, **row))

    def eager():
        drawn = torch.rand(EXAMPLES, SAMPLES, n_players)
        if law == "bernoulli":
            return pack_masks(drawn < 0.3)
        return pack_masks(drawn.argsort(-1).argsort(-1) < size)

    compare(
        benchmark,
        lambda: sample_coalitions(n_players, SAMPLES, **row),
        {"eager": eager},
        rounds=7,
    )
