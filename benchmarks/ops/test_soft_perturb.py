"""Rows of softly masked inputs, and their gradients, against eager torch under autograd."""

import torch
from _timing import compare

from pyxai.ops import soft_perturb

BATCH, DRAWS, FEATURES = 64, 4, 3072  # 3 x 32 x 32


def test_soft_perturb(benchmark):
    torch.set_num_threads(2)
    inputs = torch.randn(BATCH, FEATURES)
    baselines = torch.randn(FEATURES)
    weights = torch.rand(BATCH, DRAWS, FEATURES, requires_grad=True)
    seeds = torch.randn(BATCH, DRAWS, FEATURES)

    def ours():
        rows = soft_perturb(inputs, baselines, weights).squeeze(2)
        return torch.autograd.grad(rows, weights, seeds)[0]

    def eager():
        rows = baselines + weights * (inputs - baselines).unsqueeze(1)
        return torch.autograd.grad(rows, weights, seeds)[0]

    torch.testing.assert_close(ours(), eager())
    compare(benchmark, ours, {"eager": eager}, moved_bytes=4 * seeds.nbytes)
