"""Guided IG against the authors' package, and where its paths end."""

import numpy as np
import pytest
import torch
from captum_peer import conv, mlp, rows
from saliency_peer import gradient_of

from pyxai.attribution import GuidedIG, IntegratedGradients
from pyxai.attribution.paths.guided_path import GuidedPath

WIDE = torch.float64


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
