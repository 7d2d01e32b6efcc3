"""Methods that keep all three principles take the best places in infidelity on trained nets.

Protocol: small MLPs 10-24-24-1 trained on products, a maximum and a sine; infidelity with baseline
replacement, sizes of the removed sets uniform over 1..n-1, computed over all 1024 sets; methods
that average over baselines are judged against the game averaged over the same baselines. All
fourteen methods take part; no order is asserted among the others, which depends on the net.
"""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import nn

from pyxai.attribution import (
    LRP,
    DeepLift,
    DeepLiftShap,
    DeepTaylor,
    ExpectedGradients,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    PredictionDifference,
    ShapleyValues,
)
from pyxai.ops import zeta_transform
from pyxai.taylor import harsanyi_dividends


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices: waking more threads costs more than they bring."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


N, EXAMPLES, BACKGROUND = 10, 15, 16
ACTIVATIONS = {"relu": nn.ReLU, "softplus": nn.Softplus, "tanh": nn.Tanh}


def task(x):
    products = x[:, 0] * x[:, 1] + 0.8 * x[:, 5] * x[:, 6] * x[:, 7]
    return products + torch.maximum(x[:, 2], x[:, 3]) + (2 * x[:, 4]).sin() + 0.5 * x[:, 8]


@functools.cache
def trained(activation):
    """Train a net for a second; float64, with test inputs and a background of training rows."""
    generator = torch.Generator().manual_seed(7)
    layer = ACTIVATIONS[activation]
    net = nn.Sequential(
        nn.Linear(N, 24), layer(), nn.Linear(24, 24), layer(), nn.Linear(24, 1), nn.Flatten(0)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            bound = 1 / (parameter.shape[-1] if parameter.dim() > 1 else 24) ** 0.5
            parameter.copy_(bound * torch.randn(parameter.shape, generator=generator))
    x = torch.randn(400, N, generator=generator)
    y = task(x)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    loss = closure().detach()
    assert loss < 0.5 * y.var()
    rows = torch.randn(EXAMPLES, N, generator=generator).double()
    return net.double().eval().requires_grad_(False), rows, x[:BACKGROUND].double()


def subset_weights():
    """Return the law of removed sets: size uniform over 1..n-1, then the set uniform."""
    sizes = torch.tensor([bin(mask).count("1") for mask in range(2**N)])
    return torch.tensor(
        [0.0 if s in (0, N) else 1 / ((N - 1) * math.comb(N, s)) for s in sizes.tolist()],
        dtype=torch.float64,
    )


def infidelity(scores, table):
    """Return E[(sum of scores in S - (v(N) - v(N without S)))^2] / Var of the difference."""
    members = torch.arange(2**N)[:, None] >> torch.arange(N) & 1
    predicted = scores @ members.T.double()
    drop = table[:, -1:] - table.flip(1)  # index = the removed set
    weights = subset_weights()
    mean = (drop * weights).sum(1, keepdim=True)
    variance = ((drop - mean) ** 2 * weights).sum(1)
    return ((predicted - drop) ** 2 * weights).sum(1) / variance


def values_of(net, x, baselines):
    """Return the game's table v(S) [batch, 2**n], averaged over the rows of ``baselines``."""
    tables = [zeta_transform(harsanyi_dividends(net, x, baselines=row).values) for row in baselines]
    return torch.stack(tables).mean(0)


PAIRS = torch.arange(N)[None] // 2


def integrated_gradients(net, x, background):
    return IntegratedGradients(net).attribute(x, n_steps=100)


def deep_shap(net, x, background):
    method = DeepLiftShap(net, rule="neuron_shapley", n_permutations=64)
    return method.attribute(x, torch.zeros_like(x[:1]))


def grad_cam(net, x, background):
    """Take the inputs as a feature map of one channel."""
    features = nn.Identity()
    model = nn.Sequential(features, nn.Flatten(), net)
    return LayerGradCam(model, features).attribute(x[:, None])[:, 0]


def alpha_beta(net, x, background):
    return LRP(net, rule="alpha_beta", alpha=2.0, beta=1.0).attribute(x)


FAIR = {
    "shapley_value": lambda net, x, _: ShapleyValues(net).attribute(x),
    "integrated_gradients": integrated_gradients,
    "expected_gradients": lambda net, x, rows: ExpectedGradients(net).attribute(x, rows),
    "deeplift_rescale": lambda net, x, _: DeepLift(net).attribute(x, 0.0),
    "deeplift_reveal_cancel": lambda net, x, _: DeepLift(net, rule="reveal_cancel").attribute(
        x, 0.0
    ),
    "deep_shap": deep_shap,
}
OTHERS = {
    "occlusion_1": lambda net, x, _: FeatureAblation(net).attribute(x),
    "prediction_difference": lambda net, x, rows: PredictionDifference(net).attribute(x, rows),
    "gradient_x_input": lambda net, x, _: InputXGradient(net).attribute(x),
    "occlusion_patch": lambda net, x, _: FeatureAblation(net).attribute(x, feature_mask=PAIRS),
    "grad_cam": grad_cam,
    "lrp_epsilon": lambda net, x, _: LRP(net, epsilon=0.0).attribute(x),
    "lrp_alpha_beta": alpha_beta,
    "deep_taylor": lambda net, x, _: DeepTaylor(net, on_negative="clamp").attribute(x),
}
AVERAGED = ("expected_gradients", "prediction_difference")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fair_methods_are_the_most_faithful(activation):
    net, x, background = trained(activation)
    at_zero = values_of(net, x, torch.zeros(1, N, dtype=torch.float64))
    averaged = values_of(net, x, background)
    places, gaps = {}, {}
    for method, run in (FAIR | OTHERS).items():
        table = averaged if method in AVERAGED else at_zero
        scores = run(net, x, background)
        places[method] = infidelity(scores, table).median().item()
        gap = scores.sum(1) - (table[:, -1] - table[:, 0])
        gaps[method] = gap.abs().median().item()
    best = sorted(places, key=places.get)[: len(FAIR)]
    assert set(best) == set(FAIR), places
    # What is left of the complete methods is quadrature across kinks.
    assert max(gaps[method] for method in FAIR) < 0.05 * min(gaps[method] for method in OTHERS)
