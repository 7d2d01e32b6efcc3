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
