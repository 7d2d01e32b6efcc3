"""Segments of images, and the order in which a saliency map fills them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyxai._skimage import skimage

__all__ = ["grow_regions", "image_segments"]

# Those of the authors' package.
_SCALES = (50, 100, 150, 250, 500, 1200)
_SIGMA = 0.8
_MIN_SIZE = 150
_SIZE = (224, 224)
_DILATION = 5


def grow_regions(pixels: Tensor, masks: Tensor, min_pixels: int, area: float) -> Tensor:
    """Give each pixel the mean of the pixels that were added together with it.

    Parameters
    ----------
    pixels : Tensor, shape [height, width]
        float64 attributions.
    masks : Tensor, shape [n_segments, height, width]
        bool.
    min_pixels : int
        Segments that would add fewer are left out for good.
    area : float
        Share of the image at which to stop.

    Returns
    -------
    Tensor, shape [height, width]
        float64. Equal means are added in the order of the segments.
    """
    values, table = pixels.flatten(), masks.flatten(1).double()
    open_pixels = torch.ones_like(values)
    result = torch.zeros_like(values)
    usable = torch.ones(len(table), dtype=torch.bool, device=values.device)
    while float(1 - open_pixels.mean()) <= area:
        counts = table @ open_pixels
        usable &= counts >= min_pixels
        if not bool(usable.any()):
            break
        means = (table @ (values * open_pixels)) / counts.clamp(min=1)
        chosen = int(means.masked_fill(~usable, -torch.inf).argmax())
        new = (table[chosen] * open_pixels).bool()
        result[new] = values[new].mean()
        open_pixels[new] = 0
        usable[chosen] = False
    rest = open_pixels.bool()
    if bool(rest.any()):
        result[rest] = values[rest].mean()
    return result.view_as(pixels)


def image_segments(image: Tensor) -> Tensor:
    """Segment an image at six scales.

    Parameters
    ----------
    image : Tensor, shape [channels, height, width]
        In any range of values.

    Returns
    -------
    Tensor, shape [n_segments, height, width]
        bool, on the CPU; segments overlap.

    Raises
    ------
    ImportError
        If scikit-image is not installed.

    References
    ----------
    .. [1] P. F. Felzenszwalb, D. P. Huttenlocher, "Efficient Graph-Based Image Segmentation",
       International Journal of Computer Vision 59, 2004.
    """
    segmentation, morphology, transform = (
        skimage(part, "give segments") for part in ("segmentation", "morphology", "transform")
    )
    array = image.detach().cpu().double().permute(1, 2, 0).numpy()
    low, high = array.min(), array.max()
    if low == high:  # nothing to see
        return torch.ones(1, *array.shape[:2], dtype=torch.bool)
    scaled = transform.resize(
        2 * (array - low) / (high - low) - 1,
        _SIZE,
        order=3,
        mode="constant",
        preserve_range=True,
        anti_aliasing=True,
    )
    footprint = morphology.disk(_DILATION)
    masks = []
    for scale in _SCALES:
        labels = segmentation.felzenszwalb(scaled, scale=scale, sigma=_SIGMA, min_size=_MIN_SIZE)
        labels = transform.resize(
            labels,
            array.shape[:2],
            order=0,
            preserve_range=True,
            mode="constant",
            anti_aliasing=False,
        ).astype(int)
        masks += [
            morphology.dilation(labels == label, footprint=footprint)
            for label in range(labels.min(), labels.max() + 1)
        ]
    return torch.from_numpy(np.stack(masks).astype(bool))
