"""Guided IG and Blur IG against the authors' package, IDGI against its formula."""

import numpy as np
import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, rows

from pyxai.attribution import IDGI, BlurIG, GuidedIG, IntegratedGradients
from pyxai.attribution.paths.guided_path import GuidedPath
from pyxai.runner import progress

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


@pytest.mark.parametrize("max_dist", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("offset", [1.0, 1e6, 1.7e9])
def test_guided_ig_far_from_zero(offset, max_dist):
    """Coordinates whose last digit is far larger than what is left of the way, as of dates."""
    weights = torch.rand(6, generator=torch.Generator().manual_seed(0), dtype=WIDE) + 0.1
    start = torch.full((6,), offset, dtype=WIDE)
    x = start + 10 * rows(2, 6, dtype=WIDE).abs()
    call = {"n_steps": 50, "max_dist": max_dist}
    near = GuidedIG(lambda z: torch.tanh(z @ weights)).attribute(x - start, **call)
    far = GuidedIG(lambda z: torch.tanh((z - start) @ weights)).attribute(x, start, **call)
    rounding = offset * torch.finfo(WIDE).eps  # of a coordinate
    torch.testing.assert_close(far, near, rtol=1e-9, atol=8 * rounding)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("max_dist", [0.02, 1.0])
def test_guided_ig_does_not_depend_on_the_unit(unit, max_dist):
    x, weights = torch.tensor([[1.0, 2.0]], dtype=WIDE), torch.tensor([1.0, 2.0], dtype=WIDE)
    values = GuidedIG(lambda z: z / unit @ weights).attribute(
        x * unit, n_steps=10, max_dist=max_dist
    )
    torch.testing.assert_close(values, x * weights)


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_a_guided_path_ends_whatever_the_gradients(bad):
    start, end = torch.zeros(3, 4, dtype=WIDE), torch.ones(3, 4, dtype=WIDE)
    gradients = torch.ones(3, 4, dtype=WIDE)
    gradients[0] = bad
    gradients[1, 2] = bad
    path = GuidedPath(start, end, 0.25, 0.02)
    for step in range(4):
        path.move(gradients, step, 4)
    assert torch.equal(path.point[2], end[2])
    torch.testing.assert_close(path.attributions[2], end[2])


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


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e20, 1e30])
def test_idgi_squares_no_gradient_beyond_its_dtype(scale):
    x, weights = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1.0, -2.0, 0.5])
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


@pytest.mark.parametrize("sqrt", [False, True])
def test_blur_ig_reports_how_far_the_sum_is_off(sqrt):
    blur = pytest.importorskip("scipy.ndimage").gaussian_filter
    sigma = 3.0**0.5 if sqrt else 3.0
    model, x = conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE)
    values, delta = BlurIG(model).attribute(
        x, target=0, max_sigma=3.0, n_steps=2, sqrt=sqrt, return_convergence_delta=True
    )
    start = torch.from_numpy(blur(x.numpy(), (0, 0, sigma, sigma), mode="constant"))
    change = (model(x) - model(start))[:, 0].detach()
    torch.testing.assert_close(delta, values.flatten(1).sum(1) - change, rtol=1e-9, atol=1e-12)
    assert delta.abs().min() > 1e-3


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
        (BlurIG, {"max_sigma": torch.inf}, "max_sigma must be finite, got inf"),
        (BlurIG, {"grad_step": torch.inf}, "grad_step must be finite, got inf"),
    ],
)
def test_errors(method, options, message):
    with pytest.raises(ValueError, match=message):
        method(conv()).attribute(rows(1, 2, 7, 8), target=0, **options)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (GuidedIG, {"fraction": "0.5"}, "fraction must be a number, got '0.5'"),
        (GuidedIG, {"max_dist": True}, "max_dist must be a number, got True"),
        (BlurIG, {"max_sigma": None}, "max_sigma must be a number, got None"),
        (BlurIG, {"grad_step": "x"}, "grad_step must be a number, got 'x'"),
        (BlurIG, {"sqrt": "no"}, "sqrt must be True or False, got 'no'"),
        *(
            (
                method,
                {"return_convergence_delta": "no"},
                "return_convergence_delta must be True or False, got 'no'",
            )
            for method in (GuidedIG, BlurIG, IDGI)
        ),
        *(
            (method, {"show_progress": 3}, "progress must be True, False or a function .* got 3")
            for method in (GuidedIG, BlurIG, IDGI)
        ),
    ],
)
def test_type_errors(method, options, message):
    with pytest.raises(TypeError, match=message):
        method(conv()).attribute(rows(1, 2, 7, 8), target=0, **options)


@pytest.mark.parametrize("method", [GuidedIG, BlurIG, IDGI])
def test_progress_can_be_shown(monkeypatch, capsys, method):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)
    pytest.importorskip("tqdm")
    method(conv()).attribute(rows(2, 2, 7, 8), target=0, n_steps=5)
    assert capsys.readouterr().err == ""
    method(conv()).attribute(rows(2, 2, 7, 8), target=0, n_steps=5, show_progress=True)
    assert "/10.0" in capsys.readouterr().err


def test_blur_needs_images():
    with pytest.raises(ValueError, match=r"inputs must be images of shape .*got \[2, 6\]"):
        BlurIG(mlp()).attribute(rows(2, 6), target=0)
