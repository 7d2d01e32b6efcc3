"""Methods that keep all three principles take the best places in infidelity on trained nets.

Protocol: small MLPs 10-24-24-1 trained on products, a maximum and a sine; infidelity with baseline
replacement, sizes of the removed sets uniform over 1..n-1, computed over all 1024 sets; methods
that average over baselines are judged against the game averaged over the same baselines. All
fourteen methods take part; no order is asserted among the others, which depends on the net.
"""

from __future__ import annotations

import copy
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

pytestmark = pytest.mark.usefixtures("one_thread")

N, EXAMPLES, BACKGROUND = 10, 15, 16
ACTIVATIONS = {"relu": nn.ReLU, "softplus": nn.Softplus, "tanh": nn.Tanh}


def task(x):
    products = x[:, 0] * x[:, 1] + 0.8 * x[:, 5] * x[:, 6] * x[:, 7]
    return products + torch.maximum(x[:, 2], x[:, 3]) + (2 * x[:, 4]).sin() + 0.5 * x[:, 8]


@functools.cache
def fitted(activation, seed):
    """Train a net for a fraction of a second."""
    generator = torch.Generator().manual_seed(seed)
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


@functools.cache
def network(activation):
    """One net that takes the weights of all seeds, so that it is traced once."""
    return copy.deepcopy(fitted(activation, 0)[0])


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
    return IntegratedGradients(net).attribute(x, n_steps=400)


def deep_shap(net, x, background):
    method = DeepLiftShap(net, rule="neuron_shapley", n_permutations=16)
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
    "expected_gradients": lambda net, x, rows: ExpectedGradients(net).attribute(
        x, rows, n_steps=400
    ),
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
EXACT = ("shapley_value", "deeplift_rescale", "deeplift_reveal_cancel", "deep_shap")


@functools.cache
def measured(activation, seed):
    """Return median infidelities and completeness gaps by method, and the net's output at 0."""
    weights, x, background = fitted(activation, seed)
    net = network(activation)
    net.load_state_dict(weights.state_dict())
    at_zero = values_of(net, x, torch.zeros(1, N, dtype=torch.float64))
    averaged = values_of(net, x, background)
    places, gaps = {}, {}
    for method, run in (FAIR | OTHERS).items():
        table = averaged if method in AVERAGED else at_zero
        scores = run(net, x, background)
        places[method] = infidelity(scores, table).median().item()
        gap = (scores.sum(1) - (table[:, -1] - table[:, 0])).abs()
        # Rows with a negative output get nothing from deep Taylor, whatever they are worth.
        rows = net(x) > 0 if method == "deep_taylor" else slice(None)
        gaps[method] = gap[rows].median().item()
    return places, gaps, abs(at_zero[0, 0].item())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fair_methods_are_the_most_faithful(activation, seed):
    places, _, _ = measured(activation, seed)
    best = sorted(places, key=places.get)[: len(FAIR)]
    assert set(best) == set(FAIR), places


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fair_methods_are_complete_and_the_others_are_not(activation, seed):
    """By design, for all but deep Taylor, which shares out f(x) where the others share f(x) - f(0).

    Its gap is |f(0)| on ReLU nets, which one net in eight has at .001 by accident.
    """
    _, gaps, at_zero = measured(activation, seed)
    assert max(gaps[method] for method in EXACT) < 1e-12, gaps
    # What is left of the path methods is quadrature across kinks.
    fair = max(gaps[method] for method in FAIR)
    assert fair < (0.01 if activation == "relu" else 1e-9), gaps
    assert fair < 0.05 * min(gaps[method] for method in OTHERS if method != "deep_taylor"), gaps
    if activation == "relu":
        assert gaps["deep_taylor"] == pytest.approx(at_zero, rel=1e-9)
