"""Guided IG and Blur IG against the authors' package, IDGI against its formula."""

import numpy as np
import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, rows

from pyxai.attribution import IDGI, BlurIG, GuidedIG, IntegratedGradients

WIDE = torch.float64


@pytest.fixture
def saliency(monkeypatch):
    """The authors' package, given back an argument that NumPy 2 has renamed."""
    quantile = np.quantile
    monkeypatch.setattr(
        np, "quantile", lambda a, q, interpolation: quantile(a, q, method=interpolation)
    )
    return pytest.importorskip("saliency.core")


def gradient_of(model, target, channels_last=False):
    """The function of a batch that the authors' package asks for gradients."""

    def call(batch, call_model_args=None, expected_keys=None):
        x = torch.from_numpy(np.asarray(batch, dtype=np.float64))
        x = (x.permute(0, 3, 1, 2) if channels_last else x).requires_grad_()
        gradient = torch.autograd.grad(model(x)[:, target].sum(), x)[0]
        gradient = gradient.permute(0, 2, 3, 1) if channels_last else gradient
        return {"INPUT_OUTPUT_GRADIENTS": gradient.numpy()}

    return call


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("max_dist", [0.0, 0.02, 0.3, 1.0])
def test_guided_ig_equals_the_authors_package(saliency, fraction, max_dist):
    model, x, start = mlp(WIDE), rows(3, 6, dtype=WIDE), rows(1, 6, seed=1, dtype=WIDE)
    x[1, 2] = start[0, 2]  # a feature that does not move
    options = {"fraction": fraction, "max_dist": max_dist}
    ours = GuidedIG(model).attribute(x, start, target=1, n_steps=15, **options)
    for row in range(3):
        theirs = saliency.GuidedIG().GetMask(
            x[row].numpy(),
            gradient_of(model, 1),
            x_baseline=start[0].numpy(),
            x_steps=15,
            **options,
        )
        np.testing.assert_allclose(ours[row].numpy(), theirs, rtol=1e-9, atol=1e-12)


def test_guided_ig_of_images_equals_the_authors_package(saliency):
    model, x = conv(WIDE), rows(2, 2, 7, 8, dtype=WIDE)
    ours = GuidedIG(model).attribute(x, target=2, n_steps=25, internal_batch_size=1)
    for row in range(2):
        theirs = saliency.GuidedIG().GetMask(x[row].numpy(), gradient_of(model, 2), x_steps=25)
        np.testing.assert_allclose(ours[row].numpy(), theirs, rtol=1e-9, atol=1e-12)


def test_guided_ig_on_the_straight_path_is_integrated_gradients():
    """Without leave to wander, each step moves all features by the same share."""
    model, x = mlp(WIDE), rows(4, 6, dtype=WIDE)
    ours = GuidedIG(model).attribute(x, target=0, n_steps=20, max_dist=0.0)
    straight = IntegratedGradients(model).attribute(x, target=0, n_steps=20, method="riemann_left")
    torch.testing.assert_close(ours, straight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_paths_are_complete(method):
    model, x = mlp(WIDE, activation=torch.nn.Tanh), rows(4, 6, dtype=WIDE)
    start = rows(4, 6, seed=3, dtype=WIDE)
    values, delta = method(model).attribute(
        x, start, target=1, n_steps=800, return_convergence_delta=True
    )
    change = (model(x) - model(start))[:, 1].detach()
    torch.testing.assert_close(delta, values.sum(1) - change)
    assert delta.abs().max() < (1e-12 if method is IDGI else 5e-3)
    again = method(model).compute_convergence_delta(values, start, x, target=1)
    torch.testing.assert_close(again, delta)


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_an_input_at_its_baseline_gets_nothing(method):
    values = method(mlp()).attribute(torch.zeros(2, 6), target=0, n_steps=3)
    assert torch.equal(values, torch.zeros(2, 6))


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_several_inputs(method):
    inputs = rows(4, 4, dtype=WIDE), rows(4, 2, 3, seed=1, dtype=WIDE)
    call = {"additional_forward_args": (torch.arange(4.0),), "target": [0, 2, 2, 1]}
    together = method(TwoInputs()).attribute(inputs, n_steps=9, **call)
    flat = torch.cat([part.flatten(1) for part in inputs], 1)

    def joined(x, scale):
        return TwoInputs()(x[:, :4], x[:, 4:].view(-1, 2, 3), scale)

    alone = method(joined).attribute(flat, n_steps=9, **call)
    torch.testing.assert_close(torch.cat([part.flatten(1) for part in together], 1), alone)


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


def test_idgi_leaves_out_steps_without_a_gradient():
    values = IDGI(lambda x: x.clamp(min=0.5).sum(1)).attribute(
        torch.tensor([[0.4, 1.0], [0.1, 0.2]]), n_steps=10
    )
    torch.testing.assert_close(values, torch.tensor([[0.0, 0.5], [0.0, 0.0]]))


@pytest.mark.parametrize("sqrt", [False, True])
def test_blur_ig_equals_the_authors_package(saliency, sqrt):
    model, x = conv(WIDE), rows(2, 2, 7, 8, dtype=WIDE)
    options = {"max_sigma": 5.0, "grad_step": 0.02, "sqrt": sqrt}
    ours = BlurIG(model).attribute(x, target=1, n_steps=11, internal_batch_size=3, **options)
    for row in range(2):
        theirs = saliency.BlurIG().GetMask(
            x[row].permute(1, 2, 0).numpy(), gradient_of(model, 1, True), steps=11, **options
        )
        np.testing.assert_allclose(
            ours[row].permute(1, 2, 0).numpy(), theirs, rtol=1e-9, atol=1e-12
        )


def test_blur_ig_sums_to_the_difference_of_image_and_blur():
    model, x = conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE)
    values, delta = BlurIG(model).attribute(
        x, target=0, max_sigma=3.0, n_steps=2000, grad_step=1e-5, return_convergence_delta=True
    )
    assert delta.abs().max() < 0.02
    assert values.flatten(1).sum(1).abs().min() > 0.05


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (GuidedIG, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
        (GuidedIG, {"fraction": 1.5}, r"fraction must be in \[0, 1\], got 1.5"),
        (GuidedIG, {"max_dist": -0.1}, r"max_dist must be in \[0, 1\], got -0.1"),
        (GuidedIG, {"internal_batch_size": 0}, "internal_batch_size must be at least 1"),
        (IDGI, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
        (BlurIG, {"max_sigma": 0.0}, r"max_sigma must be positive, got 0\.0"),
        (BlurIG, {"grad_step": -1.0}, r"grad_step must be positive, got -1\.0"),
        (BlurIG, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
    ],
)
def test_errors(method, options, message):
    with pytest.raises(ValueError, match=message):
        method(conv()).attribute(rows(1, 2, 7, 8), target=0, **options)


def test_blur_needs_images():
    with pytest.raises(ValueError, match=r"inputs must be images of shape .*got \[2, 6\]"):
        BlurIG(mlp()).attribute(rows(2, 6), target=0)
