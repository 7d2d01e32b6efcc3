"""GradientShap against captum and shap at equal samples."""

import captum.attr
import pytest
import shap
import torch

from pyxai.attribution import ExpectedGradients, GradientShap

BATCH, N_FEATURES, N_SAMPLES = 16, 256, 50


def make_net(width=256):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(N_FEATURES, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, 10),
    )
    return net.eval()


NET = make_net()
GENERATOR = torch.Generator().manual_seed(1)
INPUTS = torch.randn(BATCH, N_FEATURES, generator=GENERATOR)
BACKGROUND = torch.randn(100, N_FEATURES, generator=GENERATOR)
OPTIONS = {"n_samples": N_SAMPLES, "target": 3}


class OneOutput(torch.nn.Module):
    """shap explains all outputs; it is given the one that the others explain."""

    def forward(self, x):
        return NET(x)[:, 3:4]


def of_shap():
    explainer = shap.GradientExplainer(OneOutput(), BACKGROUND, batch_size=N_SAMPLES)
    return torch.from_numpy(explainer.shap_values(INPUTS, nsamples=N_SAMPLES))[..., 0]


TOOLS = {
    "pyxai": lambda: GradientShap(NET).attribute(INPUTS, BACKGROUND, **OPTIONS),
    "captum": lambda: captum.attr.GradientShap(NET).attribute(INPUTS, BACKGROUND, **OPTIONS),
    "shap": of_shap,
}


@pytest.mark.benchmark(group="GradientShap, 16 rows x 256 features x 50 samples")
@pytest.mark.parametrize("tool", TOOLS)
def test_gradient_shap(benchmark, tool):
    exact = ExpectedGradients(NET).attribute(INPUTS, BACKGROUND, target=3, n_steps=20)
    # Equal laws: the errors of all tools are of one size.
    error = (TOOLS[tool]() - exact).square().mean().sqrt()
    assert error < 0.35 * exact.abs().max()
    benchmark.pedantic(TOOLS[tool], rounds=10, warmup_rounds=1)
