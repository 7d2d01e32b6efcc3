"""An epoch of adaptive wavelet distillation: attributions in closed form against second order.

The aim is 10 times. How much it is depends on the model: the closed form runs it once for each
example, before the first epoch, and the second-order form differentiates it twice in every step.
"""

import pytest
import torch
from _timing import compare
from torch import nn

from pyxai.transforms import AdaptiveWavelet


def mlp():
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
    )


def conv():
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(8), nn.Flatten(), nn.Linear(256, 1))


def deep():
    """A one-dimensional residual-free net of the size that time series are given."""
    layers = [nn.Conv1d(1, 64, 7, padding=3), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv1d(64, 64, 7, padding=3), nn.ReLU()]
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)), *layers, nn.AvgPool1d(64), nn.Flatten(), nn.Linear(64, 1)
    )


CASES = {
    "64 samples, three layers": (mlp, (2000, 64), 1, 4),
    "64 samples, four convolutions of 64": (deep, (500, 64), 1, 4),
    "32x32, five convolutions of 16": (conv, (200, 1, 32, 32), 2, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_epoch(benchmark, name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, shape, n_dims, level = CASES[name]
    model, x = make().eval(), torch.randn(shape)

    def epochs(gradients, count):
        wavelet = AdaptiveWavelet(
            "db3", level=level, n_dims=n_dims, noise=0.1, epochs=count, gradients=gradients
        )
        return wavelet.fit(x, model=model, target=0)

    ours, theirs = epochs("closed_form", 1), epochs("second_order", 1)
    assert ours.history_["loss"] == pytest.approx(theirs.history_["loss"], rel=1e-4)
    torch.testing.assert_close(ours.filter_, theirs.filter_, rtol=1e-3, atol=1e-4)
    # Ten epochs, as many as the paper's simulation; the one look at the model is among ours.
    compare(
        benchmark,
        lambda: epochs("closed_form", 10),
        {"second order": lambda: epochs("second_order", 10)},
        rounds=3,
    )
