"""KernelShap and Lime against captum and shap: time for equal samples, samples for equal error."""

import warnings

import captum.attr
import numpy as np
import pytest
import shap
import torch

from pyxai.attribution import KernelShap, Lime, ShapleyValues
from pyxai.attribution._draws import uniform

BATCH, N_FEATURES, N_SAMPLES = 16, 100, 500


def make_net(n_features, width=64):
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


def of_captum(cls, net, perturbations_per_eval):
    def run(inputs, n_samples):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cls(net).attribute(
                inputs, n_samples=n_samples, perturbations_per_eval=perturbations_per_eval
            )

    return run


def of_shap(net):
    def model(values):
        with torch.no_grad():
            return net(torch.from_numpy(np.asarray(values, dtype=np.float32)))[:, 0].numpy()

    def run(inputs, n_samples):
        explainer = shap.KernelExplainer(model, np.zeros((1, inputs.shape[1]), np.float32))
        scores = explainer.shap_values(
            inputs.numpy(), nsamples=n_samples - 2, l1_reg=False, silent=True
        )
        return torch.from_numpy(scores)

    return run


def of_pyxai(cls, net, **options):
    return lambda inputs, n_samples: cls(net).attribute(inputs, n_samples=n_samples, **options)


def floor(net):
    """The bare model on the rows of all coalitions at once, and one solve."""

    def run(inputs, n_samples):
        masks = (uniform(torch.arange(n_samples), inputs.shape[1], seed=0) < 0.5).float()
        with torch.inference_mode():
            outputs = net((inputs[:, None] * masks).flatten(0, 1)).view(len(inputs), -1)
        design = masks.double()
        gram = design.T @ design + 1e-6 * torch.eye(inputs.shape[1], dtype=torch.float64)
        return torch.linalg.solve(gram, (outputs.double() @ design).T).T

    return run


NET = make_net(N_FEATURES)
KERNEL = {
    "floor": floor(NET),
    "pyxai": of_pyxai(KernelShap, NET),
    "pyxai with errors": of_pyxai(KernelShap, NET, return_error=True),
    "pyxai gaussian_process": of_pyxai(KernelShap, NET, estimator="gaussian_process"),
    "captum": of_captum(captum.attr.KernelShap, NET, 1),
    "captum, 500 a pass": of_captum(captum.attr.KernelShap, NET, N_SAMPLES),
    "shap": of_shap(NET),
}
LIME = {
    "pyxai": of_pyxai(Lime, NET),
    "captum": of_captum(captum.attr.Lime, NET, 1),
    "captum, 500 a pass": of_captum(captum.attr.Lime, NET, N_SAMPLES),
}


def timed(benchmark, tool, run):
    inputs = make_inputs(BATCH, N_FEATURES)
    rounds = 1 if tool.startswith(("captum", "shap")) else 15
    benchmark.pedantic(
        run, args=(inputs, N_SAMPLES), rounds=rounds, warmup_rounds=0 if rounds == 1 else 2
    )


@pytest.mark.benchmark(group="KernelShap, 16 rows x 100 features x 500 samples")
@pytest.mark.parametrize("tool", KERNEL)
def test_kernel_shap(benchmark, tool):
    if tool.startswith("pyxai"):
        result = KERNEL[tool](make_inputs(BATCH, N_FEATURES), N_SAMPLES)
        scores = result[0] if isinstance(result, tuple) else result
        with torch.no_grad():
            inputs = make_inputs(BATCH, N_FEATURES)
            gain = NET(inputs)[:, 0] - NET(torch.zeros_like(inputs))[:, 0]
        torch.testing.assert_close(scores.sum(1), gain, atol=1e-5, rtol=1e-4)
    timed(benchmark, tool, KERNEL[tool])


@pytest.mark.benchmark(group="Lime, 16 rows x 100 features x 500 samples")
@pytest.mark.parametrize("tool", LIME)
def test_lime(benchmark, tool):
    timed(benchmark, tool, LIME[tool])


def relative_errors(run, inputs, exact, n_samples, repeats):
    misses = torch.stack([run(seed, n_samples) - exact for seed in range(repeats)])
    return float(misses.square().mean().sqrt() / exact.abs().max())


@pytest.mark.parametrize("scale", [1.0, 2.0], ids=["smooth", "rough"])
def test_samples_for_equal_error(scale):
    """12 features: a quarter of captum's calls is enough, and shap needs no fewer than we do."""
    net, inputs = make_net(12), make_inputs(2, 12)
    with torch.no_grad():
        for layer in net[::2]:
            layer.weight.mul_(scale)
    exact = ShapleyValues(net).attribute(inputs)
    tools = {
        "pyxai": lambda s, m: KernelShap(net).attribute(inputs, n_samples=m, seed=s),
        "pyxai gaussian_process": lambda s, m: KernelShap(net).attribute(
            inputs, n_samples=m, seed=s, estimator="gaussian_process"
        ),
        "captum": lambda s, m: of_captum(captum.attr.KernelShap, net, m)(inputs, m),
        "shap": lambda s, m: of_shap(net)(inputs, m),
    }
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - shap draws from the global state
    budgets = (96, 192, 504, 1008)
    found = {
        name: [
            relative_errors(run, inputs, exact, m, 5 if name == "captum" else 20) for m in budgets
        ]
        for name, run in tools.items()
    }
    quarter = relative_errors(tools["pyxai"], inputs, exact, 252, 20)
    print(f"\nRMSE / max at {budgets} calls")
    for name, errors in found.items():
        print(f"{name:24s}" + "".join(f"{error:9.4f}" for error in errors))
    print(f"{'pyxai at 252':24s}{quarter:9.4f}")
    assert quarter <= found["captum"][-1]
    assert all(own <= peer for own, peer in zip(found["pyxai"], found["shap"], strict=True))
