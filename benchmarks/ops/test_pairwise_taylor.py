"""Effects of all pairs from values and from Hessian rows, against eager torch."""

import torch
from _timing import compare

from pyxai.ops import pairwise_taylor_hessian, pairwise_taylor_values


def test_pairwise_taylor_values(benchmark):
    """784 players, as many as a small image has pixels: 306 936 pairs."""
    torch.set_num_threads(2)
    n_players = 784
    i, j = torch.triu_indices(n_players, n_players, 1)
    empty, single = torch.randn(4).double(), torch.randn(4, n_players).double()
    pairs = torch.randn(4, len(i)).double()

    def eager():
        out = torch.zeros(4, n_players, n_players, dtype=torch.float64)
        out[:, i, j] = pairs - single[:, i] - single[:, j] + empty[:, None]
        out = out + out.transpose(1, 2)
        out.diagonal(dim1=1, dim2=2).copy_(single - empty[:, None])
        return out

    ours = lambda: pairwise_taylor_values(empty, single, pairs)  # noqa: E731
    torch.testing.assert_close(ours(), eager())
    moved = pairs.nbytes + 4 * n_players * n_players * 8
    compare(benchmark, ours, {"eager": eager}, moved_bytes=moved)


def test_pairwise_taylor_hessian(benchmark):
    """64 rows of the Hessian of a 224 x 224 image in 196 patches."""
    torch.set_num_threads(2)
    side, patch, n_rows = 224, 16, 64
    column = torch.arange(side) // patch
    players = (column[:, None] * (side // patch) + column).to(torch.int32)
    n_players, features = int(players.max()) + 1, side * side
    rows, delta = torch.randn(1, n_rows, side, side), torch.randn(1, side, side)
    owns = torch.nn.functional.one_hot(players.flatten().long(), n_players).float()

    def eager():
        step = owns * delta.view(features, 1)
        return step[:n_rows].T @ (rows.view(n_rows, features) @ step)

    ours = lambda: pairwise_taylor_hessian(rows, delta, players, n_players=n_players)  # noqa: E731
    torch.testing.assert_close(ours()[0].float(), eager(), rtol=1e-3, atol=1e-3)
    peers = {"eager": eager, "read": lambda: rows.sum()}
    compare(benchmark, ours, peers, moved_bytes=rows.nbytes)
