"""784 players come in one after another behind a layer and its ReLU, against torch on equal rows.

Torch gathers the parts of each order and adds them up by `cumsum`, which keeps sums of float32 in
float64 as we do.
"""

import pytest
import torch
from _timing import compare

from pyxai.ops import ordered_affine

N_PLAYERS = 784


@pytest.mark.parametrize("size", [64, 256, 1024])
@pytest.mark.parametrize("n_orders", [None, 1, 10])
def test_players_one_after_another(benchmark, n_orders, size):
    torch.set_num_threads(1)
    start, parts = torch.randn(1, size), torch.randn(1, N_PLAYERS, size)
    orders = None if n_orders is None else torch.rand(n_orders, N_PLAYERS).argsort(1).int()
    places = None if orders is None else orders.long()

    def ours():
        return ordered_affine(start, parts, orders, activation="relu")

    def in_torch():
        rows = parts.unsqueeze(1) if places is None else parts[:, places]
        return (start[:, None, None] + rows.cumsum(2)).relu_()

    torch.testing.assert_close(ours(), in_torch(), rtol=1e-4, atol=1e-5)
    compare(benchmark, ours, {"torch": in_torch}, moved_bytes=parts.nbytes + ours().nbytes)
