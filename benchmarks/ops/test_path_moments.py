"""First and second moment of gradients in one read, against eager torch."""

import torch
from _timing import compare

from pyxai.ops import path_moments

NODES, FEATURES = 256, 150_528  # 3 x 224 x 224


def test_path_moments(benchmark):
    torch.set_num_threads(2)
    grads = torch.randn(NODES, 1, FEATURES)
    weights = torch.rand(NODES, dtype=torch.float64) / NODES
    single, matrix = weights.float(), grads[:, 0].T

    def eager():
        weighted = grads * single.view(-1, 1, 1)
        return torch.stack([weighted.sum(0), (weighted * grads).sum(0)])

    ours = lambda: path_moments(grads, weights)  # noqa: E731
    torch.testing.assert_close(ours(), eager(), rtol=1e-4, atol=1e-5)
    compare(
        benchmark,
        ours,
        {"torch.mv": lambda: torch.mv(matrix, single), "eager": eager},
        moved_bytes=grads.nbytes,
    )


def test_moments_of_ways(benchmark):
    """What GradientShap adds up: products with the way from a row of the background, squared."""
    torch.set_num_threads(2)
    batch, draws, features = 4, 50, 12_288  # 3 x 64 x 64
    grads, inputs = torch.randn(batch, draws, features), torch.randn(batch, features)
    background, rows = torch.randn(50, features), torch.randint(50, (batch, draws))
    weights = torch.ones(draws, dtype=torch.float64)
    ways = {"inputs": inputs, "baselines": background, "rows": rows}

    def eager():
        values = (inputs[:, None] - background[rows]).mul_(grads)
        return torch.stack([values.sum(1), values.square().sum(1)])

    ours = lambda: path_moments(grads, weights, example_major=True, **ways)  # noqa: E731
    torch.testing.assert_close(ours(), eager(), rtol=1e-4, atol=1e-4)
    compare(benchmark, ours, {"eager": eager}, moved_bytes=grads.nbytes)
