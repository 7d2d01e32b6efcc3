"""Masks behind a first layer of 256 units and its ReLU, against torch on the same rows.

Of 784 players each is added alone, as by feature ablation; of 64 there are random masks, unpacked
before the time begins.
"""

import pytest
import torch
from _timing import compare

from pyxai.ops import masked_affine, pack_masks

SIZE, ROWS = 256, 4096


def test_players_alone(benchmark):
    torch.set_num_threads(1)
    start, parts, scales = torch.randn(1, SIZE), torch.randn(1, 784, SIZE), torch.randn(1, 784)

    def ours():
        return masked_affine(start, parts, None, scales, activation="relu")

    def in_torch():
        return torch.addcmul(start.unsqueeze(1), scales.unsqueeze(2), parts).relu_()

    torch.testing.assert_close(ours(), in_torch(), rtol=1e-5, atol=1e-6)
    compare(benchmark, ours, {"torch": in_torch}, moved_bytes=2 * parts.nbytes)


@pytest.mark.parametrize("n_players", [8, 64])
def test_masks(benchmark, n_players):
    torch.set_num_threads(1)
    start, parts = torch.randn(1, SIZE), torch.randn(1, n_players, SIZE)
    keep = torch.rand(ROWS, n_players) < 0.5
    masks, weights = pack_masks(keep), keep.float()
    out, rows = torch.empty(1, ROWS, SIZE), torch.empty(ROWS, SIZE)

    def ours():
        return masked_affine(start, parts, masks, activation="relu", out=out)

    def in_torch():
        return torch.addmm(start, weights, parts[0], out=rows).relu_()

    torch.testing.assert_close(ours()[0], in_torch(), rtol=1e-4, atol=1e-5)
    compare(benchmark, ours, {"torch": in_torch}, moved_bytes=out.nbytes)
