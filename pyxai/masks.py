"""Feature masks for images: patches and superpixels whose pixels count as one feature.

Every method with a ``feature_mask`` takes them, and so does `pyxai.Game`. They broadcast over the
channels, so that a pixel is shown or hidden as a whole::

    pyxai.explain(model, photographs, method="greedy_pig", feature_mask=patches(photographs, 32))
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import check_finite, check_int, check_number, check_tensor, describe
from pyxai._extras import optional

__all__ = ["patches", "superpixels"]


def patches(images: Tensor | Sequence[int], size: int | Sequence[int]) -> Tensor:
    """Cut images into rectangles.

    Parameters
    ----------
    images : Tensor, shape [..., height, width], or sequence of int
        The images, or their shape, of which the last two sizes count.
    size : int or pair of int
        Height and width of a patch in pixels. Where they do not divide the image, the patches of
        the last line and column are smaller.

    Returns
    -------
    Tensor, shape [1, 1, height, width]
        int64 number of each pixel's patch, from 0, line by line; on the device of the images.

    Raises
    ------
    ValueError
        If there is no height and width, or a patch is larger than the image.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> patches((2, 5), (1, 2))
    tensor([[[[0, 0, 1, 1, 2],
              [3, 3, 4, 4, 5]]]])
    """
    shape = images.shape if isinstance(images, Tensor) else images
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise TypeError(f"images must be a tensor or a shape, got {describe(images)}")
    if len(shape) < 2:
        raise ValueError(f"images must have a height and a width, got shape {list(shape)}")
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise TypeError(f"size must be an integer or a pair of integers, got {describe(size)}")
    height, width = (check_int("images", length, minimum=1) for length in shape[-2:])
    down, across = (check_int("size", length, minimum=1) for length in pair)
    if down > height or across > width:
        raise ValueError(
            f"size must be at most that of the images, [{height}, {width}], got [{down}, {across}]"
        )
    device = images.device if isinstance(images, Tensor) else None
    lines = torch.arange(height, device=device)[:, None] // down
    columns = torch.arange(width, device=device) // across
    return (lines * -(-width // across) + columns)[None, None]


def superpixels(images: Tensor, n_segments: int = 100, *, compactness: float = 10.0) -> Tensor:
    """Cut each image into connected segments of similar colour (SLIC).

    Parameters
    ----------
    images : Tensor, shape [batch, channels, height, width]
        Of any real dtype and range of values: each is scaled by its own range. Three channels are
        compared as red, green and blue.
    n_segments : int
        About how many segments an image gets.
    compactness : float
        Positive: how much nearness counts against colour; large numbers make squares.

    Returns
    -------
    Tensor, shape [batch, 1, height, width]
        int64 number of each pixel's segment, from 0 and without gaps in each image; on the device
        of the images. Images may have different numbers of segments.

    Raises
    ------
    ValueError
        If the images are of another shape or not finite, or a number is out of range.
    TypeError
        If an argument is of another kind.
    ImportError
        If scikit-image is not installed (the extra ``regions``).

    Notes
    -----
    The same image gives the same segments, alone or in a batch.

    References
    ----------
    .. [1] R. Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
       IEEE TPAMI 34(11), 2012.
    """
    check_tensor("images", images)
    if images.dim() != 4 or 0 in images.shape:
        raise ValueError(
            f"images must have shape [batch, channels, height, width], got {list(images.shape)}"
        )
    if images.is_complex():
        raise TypeError(f"images must be real, got {images.dtype}")
    check_finite("images", images)
    check_int("n_segments", n_segments, minimum=1)
    if not check_number("compactness", compactness) > 0:
        raise ValueError(f"compactness must be positive, got {compactness!r}")
    arrays = images.detach().cpu().double().permute(0, 2, 3, 1).numpy()
    labels = np.stack([_slic(array, n_segments, compactness) for array in arrays])
    return torch.from_numpy(labels)[:, None].to(images.device)


def _slic(
    image: npt.NDArray[np.float64], n_segments: int, compactness: float
) -> npt.NDArray[np.int64]:
    """Return the segments of one image [height, width, channels], numbered from 0."""
    low, high = image.min(), image.max()
    instead = "make a feature_mask by other means"
    with optional("segments of images need", "scikit-image", "regions", instead):
        segmentation = importlib.import_module("skimage.segmentation")
    labels = segmentation.slic(
        (image - low) / (high - low if high > low else 1.0),
        n_segments=n_segments,
        compactness=compactness,
        convert2lab=image.shape[2] == 3,
        start_label=0,
        channel_axis=-1,
    )
    found = np.unique(labels, return_inverse=True)[1]
    return found.reshape(labels.shape).astype(np.int64)
