"""Weighted gradient sums against the fastest single read of the gradients that torch has."""

import pytest
import torch
from _timing import compare

from pyxai.ops import path_accumulate

NODES, FEATURES = 256, 150_528  # 3 x 224 x 224


@pytest.mark.parametrize("pixels", [False, True], ids=["features", "player sums"])
def test_path_accumulate(benchmark, pixels):
    torch.set_num_threads(2)
    grads = torch.randn(NODES, 1, FEATURES)
    weights = torch.rand(NODES, dtype=torch.float64) / NODES
    inputs, baselines = torch.randn(2, 1, FEATURES)
    n_players = FEATURES // 3
    players = (torch.arange(FEATURES) % n_players).int()
    single, matrix = weights.float(), grads[:, 0].T

    def ours():
        if not pixels:
            return path_accumulate(grads, weights, inputs, baselines)
        return path_accumulate(grads, weights, inputs, baselines, players, n_players=n_players)

    def eager():
        total = (grads * single.view(-1, 1, 1)).sum(0) * (inputs - baselines)
        return total.view(1, 3, -1).sum(1) if pixels else total

    torch.testing.assert_close(ours(), eager(), rtol=1e-4, atol=1e-5)
    compare(
        benchmark,
        ours,
        {"torch.mv": lambda: torch.mv(matrix, single), "eager": eager},
        moved_bytes=grads.nbytes,
    )
