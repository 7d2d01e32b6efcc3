"""Values of a game against the bare model on the same rows, and against masks in eager torch."""

import torch
from _floor import bare_outputs, best_of, mlp
from _timing import compare

from pyxai.game import Game

BATCH, PLAYERS, MASKS = 16, 784, 785


def test_game(benchmark):
    torch.set_num_threads(1)
    model, inputs = mlp(PLAYERS, 256, 10), torch.randn(BATCH, PLAYERS)
    masks = torch.rand(MASKS, PLAYERS) < 0.5
    game = Game(model, inputs, target=0)

    def eager():
        with torch.inference_mode():
            rows = torch.where(masks, inputs[:, None], torch.zeros(()))
            return model(rows.flatten(0, 1))[:, 0].view(BATCH, MASKS)

    torch.testing.assert_close(game.values(masks), eager(), rtol=1e-5, atol=1e-6)
    rows = torch.randn(BATCH * MASKS, PLAYERS)
    compare(
        benchmark,
        lambda: game.values(masks),
        {
            "bare model": best_of(lambda size: bare_outputs(model, rows, size)),
            "eager torch, all at once": eager,
        },
        rounds=9,
    )
