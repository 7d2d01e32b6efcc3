"""IDGI against its formula, on the straight path and on those of other methods."""

import importlib
import itertools

import numpy as np
import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, rows

import pyxai
from pyxai.attribution import IDGI, GuidedIG

WIDE = torch.float64


def test_idgi_equals_its_formula():
    model, x, start = mlp(WIDE), rows(3, 6, dtype=WIDE), rows(3, 6, seed=1, dtype=WIDE)
    ours = IDGI(model).attribute(x, start, target=2, n_steps=7, internal_batch_size=4)
    total = torch.zeros_like(x)
    for step in range(7):
        point = (start + step / 7 * (x - start)).requires_grad_()
        here = model(point)[:, 2]
        gradient = torch.autograd.grad(here.sum(), point)[0]
        there = model(start + (step + 1) / 7 * (x - start))[:, 2]
        share = gradient.square() / gradient.square().sum(1, keepdim=True)
        total += share * (there - here)[:, None].detach()
    torch.testing.assert_close(ours, total, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e20, 1e30])
@pytest.mark.parametrize("weights", [[1.0, -2.0, 0.5], [-1.0, -2.0, -0.5]])
def test_idgi_squares_no_gradient_beyond_its_dtype(scale, weights):
    x, weights = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor(weights)
    values, delta = IDGI(lambda z: z @ (scale * weights)).attribute(
        x / scale, n_steps=4, return_convergence_delta=True
    )
    share = weights.square() / weights.square().sum()
    torch.testing.assert_close(values, share[None] * (x @ weights))
    torch.testing.assert_close(delta, torch.zeros(1), atol=1e-6, rtol=0)


def test_idgi_leaves_out_steps_without_a_gradient():
    values = IDGI(lambda x: x.clamp(min=0.5).sum(1)).attribute(
        torch.tensor([[0.4, 1.0], [0.1, 0.2]]), n_steps=10
    )
    torch.testing.assert_close(values, torch.tensor([[0.0, 0.5], [0.0, 0.0]]))


def algorithm_1(model, points, target):
    """Share each step of a path [n_steps + 1, *features] by the squares of the gradient at it."""
    total = torch.zeros_like(points[0])
    for here, there in itertools.pairwise(points):
        leaf = here[None].clone().requires_grad_()
        value = model(leaf)[0, target]
        (gradient,) = torch.autograd.grad(value, leaf)
        square = gradient[0].square()
        total += square / square.sum() * (model(there[None])[0, target] - value).detach()
    return total


@pytest.mark.parametrize(("fraction", "max_dist"), [(0.25, 0.02), (0.5, 1.0), (1.0, 0.3)])
def test_guided_path_is_that_of_the_authors_package(saliency, fraction, max_dist):
    model, x, start = mlp(WIDE), rows(3, 6, dtype=WIDE), rows(1, 6, seed=1, dtype=WIDE)
    options = {"fraction": fraction, "max_dist": max_dist}
    ours = IDGI(model).attribute(x, start, target=1, n_steps=15, path="guided", **options)
    for row in range(3):
        points = []

        def call(batch, call_model_args=None, expected_keys=None, seen=points):
            leaf = torch.from_numpy(np.array(batch, dtype=np.float64))
            seen.append(leaf[0].clone())
            gradient = torch.autograd.grad(model(leaf.requires_grad_())[:, 1].sum(), leaf)[0]
            return {"INPUT_OUTPUT_GRADIENTS": gradient.numpy()}

        saliency.GuidedIG().GetMask(
            x[row].numpy(), call, x_baseline=start[0].numpy(), x_steps=15, **options
        )
        assert len(points) == 15
        expected = algorithm_1(model, [*points, x[row]], 1)
        torch.testing.assert_close(ours[row], expected, rtol=1e-9, atol=1e-12)


def test_guided_path_without_leave_to_wander_is_the_straight_one():
    inputs = rows(4, 4, dtype=WIDE), rows(4, 2, 3, seed=1, dtype=WIDE)
    call = {"additional_forward_args": (torch.arange(4.0),), "target": [0, 2, 2, 1]}
    call |= {"n_steps": 9, "return_convergence_delta": True}
    explainer = IDGI(TwoInputs())
    guided, delta = explainer.attribute(inputs, path="guided", max_dist=0.0, **call)
    straight, other = explainer.attribute(inputs, **call)
    torch.testing.assert_close(guided, straight, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(delta, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_blur_path_is_that_of_scipy(batch_size):
    blur = importlib.import_module("scipy.ndimage").gaussian_filter
    model, x = conv(WIDE), rows(2, 2, 7, 8, dtype=WIDE)
    ours, delta = IDGI(model).attribute(
        x,
        target=1,
        n_steps=11,
        path="blur",
        max_sigma=5.0,
        internal_batch_size=batch_size,
        return_convergence_delta=True,
    )
    for row in range(2):
        points = [
            torch.from_numpy(blur(x[row].numpy(), (0, sigma, sigma), mode="constant"))
            for sigma in np.linspace(5.0, 0.0, 12)
        ]
        torch.testing.assert_close(points[-1], x[row])
        expected = algorithm_1(model, points, 1)
        torch.testing.assert_close(ours[row], expected, rtol=1e-9, atol=1e-12)
    assert delta.abs().max() < 1e-12


@pytest.mark.parametrize("path", ["guided", "blur"])
def test_explain_reports_how_far_the_sum_is_off(path):
    x = rows(2, 2, 7, 8, dtype=WIDE)
    found = pyxai.explain(conv(WIDE), x, method="idgi", target=0, path=path, n_steps=6)
    assert found.convergence_delta.abs().max() < 1e-12
    assert found.attributions.abs().sum() > 0


def test_guided_path_costs_one_gradient_a_step():
    asked = []

    def model(x):
        asked.append((len(x), torch.is_grad_enabled()))
        return x.square().sum(1)

    x = rows(2, 6, dtype=WIDE)
    GuidedIG(model).attribute(x, n_steps=5)
    guided = len([rows for rows, gradients in asked if gradients])
    asked.clear()
    IDGI(model).attribute(x, n_steps=5, path="guided")
    assert len([rows for rows, gradients in asked if gradients]) == guided


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (rows(2, 6), {"path": "curved"}, "path must be one of 'straight', 'guided', 'blur', got"),
        (rows(2, 6), {"path": "blur"}, "inputs must be images of shape"),
        (rows(2, 2, 7, 8), {"path": "blur", "baselines": 0.0}, "baselines must be None for path"),
        (rows(2, 6), {"path": "guided", "fraction": 2.0}, r"fraction must be in \[0, 1\], got 2.0"),
        (rows(2, 6), {"max_sigma": 0.0}, "max_sigma must be positive, got 0.0"),
        (rows(2, 6), {"path": "guided", "model": "sum"}, "model must return one row for each of 2"),
    ],
)
def test_errors(inputs, options, message):
    options = dict(options)
    model = (lambda x: x.sum()) if options.pop("model", None) else lambda x: x.flatten(1)
    with pytest.raises(ValueError, match=message):
        IDGI(model).attribute(inputs, n_steps=3, **options)
