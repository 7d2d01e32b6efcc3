"""Sums over players against index_add and, where players lie side by side, a plain sum."""

import torch
from _timing import compare

from pyxai.ops import player_sum

BATCH, FEATURES = 64, 150_528  # 3 x 224 x 224


def test_player_sum(benchmark):
    torch.set_num_threads(2)
    values = torch.randn(BATCH, FEATURES)
    n_players = FEATURES // 3
    players = (torch.arange(FEATURES) % n_players).int()
    ours = lambda: player_sum(values, players, n_players=n_players)  # noqa: E731
    added = lambda: torch.zeros(BATCH, n_players).index_add_(1, players, values)  # noqa: E731
    torch.testing.assert_close(ours(), added())
    compare(
        benchmark,
        ours,
        {"index_add_": added, "view.sum": lambda: values.view(BATCH, 3, n_players).sum(1)},
        moved_bytes=values.nbytes,
    )
