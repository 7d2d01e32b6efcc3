"""GradientShap against the bare model, captum 0.9.0 and shap, at equal samples.

Claim: at least twice as fast as captum.
"""

import captum.attr
import pytest
import torch
from _floor import bare_gradients, best_of, mlp
from _peers import quiet, shap
from _timing import compare
from torch import nn

from pyxai.attribution import ExpectedGradients, GradientShap

BATCH, N_SAMPLES = 16, 50


def small_conv():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    return nn.Sequential(*layers).eval().requires_grad_(False)


CASES = {
    "mlp, 100 features": (lambda: mlp(100, 64, 64, 10), (100,)),
    "mlp, 784 features": (lambda: mlp(784, 128, 10), (784,)),
    "conv, 3 x 64 x 64": (small_conv, (3, 64, 64)),
}


class OneOutput(nn.Module):
    """shap explains all outputs; it is given the one that the others explain."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[:, :1]


@pytest.mark.parametrize("name", CASES)
def test_gradient_shap(benchmark, name):
    torch.set_num_threads(1)
    make_net, shape = CASES[name]
    net, generator = make_net(), torch.Generator().manual_seed(1)
    inputs = torch.randn(BATCH, *shape, generator=generator)
    background = torch.randn(20, *shape, generator=generator)
    rows = torch.randn(BATCH * N_SAMPLES, *shape, generator=generator)
    options = {"n_samples": N_SAMPLES, "target": 0}
    theirs = captum.attr.GradientShap(net)
    explainer = quiet(shap.GradientExplainer)(OneOutput(net), background, batch_size=N_SAMPLES)
    peers = {
        "bare model": best_of(lambda size: bare_gradients(net, rows, size)),
        "captum": lambda: theirs.attribute(inputs, background, **options),
        "shap": quiet(lambda: explainer.shap_values(inputs, nsamples=N_SAMPLES)),
    }

    def ours():
        return GradientShap(net).attribute(inputs, background, **options)

    # Equal laws: the errors of both are of one size.
    exact = ExpectedGradients(net).attribute(inputs, background, target=0, n_steps=10)
    own, peer = ((run() - exact).square().mean().sqrt() for run in (ours, peers["captum"]))
    assert 0.7 < own / peer < 1.4
    compare(benchmark, ours, peers, rounds=7)
    # Processor time does not count waiting for a core on a busy machine.
    assert benchmark.extra_info["processor time, ours / captum"] < 0.5
