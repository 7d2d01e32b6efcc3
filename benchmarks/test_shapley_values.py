"""Exact Shapley values against the bare evaluations; orders against captum."""

import captum.attr
import pytest
import torch

from pyxai.attribution import ShapleyValues, ShapleyValueSampling
from pyxai.game import Game

N_PLAYERS = 16


def make_net(n_features, width=128):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(n_features, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1),
    )
    return net.eval()


def make_inputs(batch, n_features):
    return torch.randn(batch, n_features, generator=torch.Generator().manual_seed(1))


def evaluations(net, inputs):
    """The same 65 536 evaluations with nothing around them, in passes of the same size."""
    game = Game(net, inputs)
    rows = game.estimate(2**N_PLAYERS).rows_per_pass
    bits = (torch.arange(2**N_PLAYERS)[:, None] >> torch.arange(N_PLAYERS)) & 1
    table = bits.float() * inputs

    def run():
        with torch.inference_mode():
            return torch.cat([net(part) for part in table.split(rows)])

    return run


@pytest.mark.benchmark(group="exact Shapley values, 16 players, 65 536 evaluations")
@pytest.mark.parametrize("tool", ["bare evaluations", "pyxai"])
def test_exact(benchmark, tool):
    net, inputs = make_net(N_PLAYERS), make_inputs(1, N_PLAYERS)
    runs = {
        "bare evaluations": evaluations(net, inputs),
        "pyxai": lambda: ShapleyValues(net).attribute(inputs),
    }
    with torch.no_grad():
        gain = net(inputs)[:, 0] - net(torch.zeros_like(inputs))[:, 0]
    torch.testing.assert_close(runs["pyxai"]().sum(1), gain, atol=1e-5, rtol=1e-5)
    benchmark.pedantic(runs[tool], rounds=10, warmup_rounds=1)


NET, INPUTS = make_net(100), make_inputs(4, 100)


def of_captum(perturbations_per_eval):
    return lambda: captum.attr.ShapleyValueSampling(NET).attribute(
        INPUTS, target=0, n_samples=25, perturbations_per_eval=perturbations_per_eval
    )


SAMPLING = {
    "pyxai": lambda: ShapleyValueSampling(NET).attribute(INPUTS, target=0, n_samples=25),
    "captum": of_captum(1),
    "captum, 100 a pass": of_captum(100),
}


@pytest.mark.benchmark(group="ShapleyValueSampling, 4 rows x 100 features x 25 orders")
@pytest.mark.parametrize("tool", SAMPLING)
def test_sampling(benchmark, tool):
    with torch.no_grad():
        gain = NET(INPUTS)[:, 0] - NET(torch.zeros_like(INPUTS))[:, 0]
    scores = SAMPLING[tool]()
    torch.testing.assert_close(scores.sum(1), gain, atol=1e-4, rtol=1e-4)
    benchmark.pedantic(SAMPLING[tool], rounds=1 if tool == "captum" else 5)
