"""Blur IG against the authors' package, and its sums."""

import numpy as np
import pytest
import torch
from captum_peer import conv, mlp, rows
from saliency_peer import gradient_of
from scipy.ndimage import gaussian_filter as blur

from pyxai.attribution import BlurIG

WIDE = torch.float64


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
    sigma = 3.0**0.5 if sqrt else 3.0
    model, x = conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE)
    values, delta = BlurIG(model).attribute(
        x, target=0, max_sigma=3.0, n_steps=2, sqrt=sqrt, return_convergence_delta=True
    )
    start = torch.from_numpy(blur(x.numpy(), (0, 0, sigma, sigma), mode="constant"))
    change = (model(x) - model(start))[:, 0].detach()
    torch.testing.assert_close(delta, values.flatten(1).sum(1) - change, rtol=1e-9, atol=1e-12)
    assert delta.abs().min() > 1e-3


def test_blur_needs_images():
    with pytest.raises(ValueError, match=r"inputs must be images of shape .*got \[2, 6\]"):
        BlurIG(mlp()).attribute(rows(2, 6), target=0)
