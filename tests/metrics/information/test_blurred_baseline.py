"""The baseline that information curves start from."""

import pytest
import torch

from pyxai import metrics
from pyxai.metrics.information.partial_pictures import blurred


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_baseline_is_where_curves_start(scene, channels):
    images, _, masks = scene
    images = images[:, :channels] if channels else images[:, 0]
    found = metrics.blurred_baseline(images, masks, fast=False)
    assert found.shape == images.shape
    for image, mask, one in zip(images, masks.numpy(), found, strict=True):
        picture = image.numpy() if image.dim() == 2 else image.movedim(0, -1).numpy()
        expected = torch.from_numpy(blurred(picture, mask))
        assert torch.equal(one, expected if image.dim() == 2 else expected.movedim(-1, 0))
    # An image from its baseline, where nothing but known pixels is shown, is not another one.
    assert torch.equal(metrics.blurred_baseline(images), metrics.blurred_baseline(images.clone()))
