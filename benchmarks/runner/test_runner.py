"""What the machinery around a model costs: the bare model on the same rows, at its best batch size.

The rows lie ready in memory, so what is left is the runner: plan, target, state, bookkeeping.
"""

import pytest
import torch
from _floor import bare_gradients, bare_outputs, best_of, mlp
from _timing import compare
from torch import nn

from pyxai.runner import Runner

MODELS = {
    "MLP 30-128-128-2": (lambda: mlp(30, 128, 128, 2), (30,), 512 * 50),
    "MLP 784-256-10": (lambda: mlp(784, 256, 10), (784,), 16 * 785),
    "CNN 28x28": (
        lambda: (
            nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(8, 16, 3, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(16, 10),
            )
            .eval()
            .requires_grad_(False)
        ),
        (1, 28, 28),
        2048,
    ),
}


@pytest.mark.parametrize("gradients", [False, True], ids=["values", "gradients"])
@pytest.mark.parametrize("name", MODELS)
def test_runner(benchmark, name, gradients):
    torch.set_num_threads(1)
    make, shape, count = MODELS[name]
    model, rows = make(), torch.randn(count, *shape)
    runner, bare = Runner(model, target=0), bare_gradients if gradients else bare_outputs

    def build(examples, repeats):
        return (rows[examples],)

    def ours():
        if gradients:
            return runner.gradients(build, count, 1, lambda *_: None)
        return runner.values(build, count, 1)

    torch.testing.assert_close(ours()[:, 0], model(rows)[:, 0], rtol=1e-5, atol=1e-6)
    compare(
        benchmark,
        ours,
        {"bare model": best_of(lambda size: bare(model, rows, size))},
        rounds=9,
    )
