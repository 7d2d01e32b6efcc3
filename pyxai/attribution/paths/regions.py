"""Segments of images, and the order in which a saliency map fills them."""

from __future__ import annotations

import importlib
import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._extras import optional

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
    values, table = pixels.flatten(), masks.flatten(1)
    is_open = torch.ones_like(values, dtype=torch.bool)
    result = torch.zeros_like(values)
    # What each segment would add, as positions; only those that lose a pixel are counted anew.
    adds = [segment.nonzero()[:, 0] for segment in table]
    means = torch.tensor([_mean(values, added, min_pixels) for added in adds], dtype=values.dtype)
    n_closed = 0
    while len(adds) and n_closed / len(values) <= area:
        chosen = int(means.argmax())
        if means[chosen] == -torch.inf:
            break
        new = adds[chosen]
        result[new] = values[new].mean()
        is_open[new] = False
        n_closed += len(new)
        met = table[:, new].any(1).cpu() & (means > -torch.inf)
        for number in met.nonzero()[:, 0].tolist():
            adds[number] = adds[number][is_open[adds[number]]]
            means[number] = _mean(values, adds[number], min_pixels)
    if n_closed < len(values):
        result[is_open] = values[is_open].mean()
    return result.view_as(pixels)


def _mean(values: Tensor, added: Tensor, min_pixels: int) -> float:
    """Return the mean of the pixels that a segment adds, -inf if they are too few."""
    return float(values[added].mean()) if len(added) >= min_pixels else -math.inf


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
    with optional("segments of images need", "scikit-image", "regions", "give segments"):
        segmentation, morphology, transform = (
            importlib.import_module(f"skimage.{part}")
            for part in ("segmentation", "morphology", "transform")
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
    masks = []
    for scale in _SCALES:
        with warnings.catch_warnings():
            # Any number of channels is meant; scikit-image doubts more than three.
            warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)
            labels = segmentation.felzenszwalb(
                scaled, scale=scale, sigma=_SIGMA, min_size=_MIN_SIZE
            )
        labels = transform.resize(
            labels,
            array.shape[:2],
            order=0,
            preserve_range=True,
            mode="constant",
            anti_aliasing=False,
        ).astype(int)
        masks += [
            _wider(labels == label, morphology) for label in range(labels.min(), labels.max() + 1)
        ]
    return torch.from_numpy(np.stack(masks))


def _wider(mask: np.ndarray[Any, Any], morphology: Any) -> np.ndarray[Any, Any]:
    """Return a segment with all pixels near it; only the box that they may lie in is looked at."""
    result = np.zeros_like(mask)
    lines = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    if len(lines[0]):
        box = tuple(slice(max(at[0] - _DILATION, 0), at[-1] + _DILATION + 1) for at in lines)
        result[box] = morphology.dilation(mask[box], footprint=morphology.disk(_DILATION))
    return result
