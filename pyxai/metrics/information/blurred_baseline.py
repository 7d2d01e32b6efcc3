"""The image that information curves start from, as a baseline of attribution methods."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_bool
from pyxai._random import example_ids
from pyxai.metrics.information.images import check_images, check_masks
from pyxai.metrics.information.partial_pictures import blurred, random_pixel_masks

__all__ = ["blurred_baseline"]


def blurred_baseline(
    images: Tensor, masks: Tensor | None = None, *, fast: bool = True, seed: int = 0
) -> Tensor:
    """Interpolate images linearly from some of their pixels.

    Information curves show more and more of an image from here on. A method whose absent features
    are those of this image, not black ones, is asked what the curve measures.

    Parameters
    ----------
    images : Tensor, shape [batch, channels, height, width] or [batch, height, width]
        uint8; 1, 3 or 4 channels, at least 2 pixels high and wide.
    masks : Tensor, shape [batch, height, width], optional
        bool: the pixels that are known, besides the four corners; default: those of
        `InformationCurves` of the same seed.
    fast : bool
        As for `InformationCurves`.
    seed : int
        Of the random masks.

    Returns
    -------
    Tensor, shape of ``images``
        uint8, on the CPU; what the model takes is made of it as of the images.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If a dtype does not fit.
    ImportError
        If scipy is not installed.

    References
    ----------
    .. [1] A. Kapishnikov, T. Bolukbasi, F. Viegas, M. Terry, "XRAI: Better Attributions Through
       Regions", ICCV 2019, section 4.
    """
    check_bool("fast", fast)
    found = check_images(images)
    batch, height, width = len(found), found.shape[-2], found.shape[-1]
    if masks is None:
        ids = example_ids(None, (found,))
        masks = random_pixel_masks(batch, height, width, seed=seed, example_ids=ids)
    known = check_masks(masks, (batch, height, width))
    pictures = found if found.dim() == 3 else found.movedim(1, -1)
    parts = [
        blurred(np.ascontiguousarray(picture.numpy()), mask, fast=fast)
        for picture, mask in zip(pictures, known, strict=True)
    ]
    result = torch.from_numpy(np.stack(parts))
    return result if result.dim() == 3 else result.movedim(-1, 1).contiguous()
