"""Feature masks: patches and superpixels of images, and what attributions sum to in each group.

Every method with a ``feature_mask`` takes patches and superpixels, and so does `pyxai.Game`. They
broadcast over the channels, so that a pixel is shown or hidden as a whole::

    pyxai.explain(model, photographs, method="greedy_pig", feature_mask=patches(photographs, 32))

What a method gave to single features, `sum_groups` gives to groups of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import (
    check_bool,
    check_finite,
    check_int,
    check_number,
    check_tensor,
    describe,
)
from pyxai._extras import optional
from pyxai._inputs import Players, flat_features, format_feature_mask

__all__ = ["patches", "sum_groups", "superpixels"]


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


def sum_groups(
    attributions: Tensor | tuple[Tensor, ...],
    feature_mask: Tensor | tuple[Tensor, ...],
    *,
    return_input_shape: bool = True,
) -> Tensor | tuple[Tensor, ...]:
    """Sum attributions of single features to those of groups: of words, patches, columns of a code.

    Parameters
    ----------
    attributions : Tensor or tuple of Tensor, shape [batch, *features] each
        Floating point, in any unit. Signs are kept, so what adds up goes on adding up; of absolute
        values the sums are those of absolute values.
    feature_mask : Tensor or tuple of Tensor, shape that broadcasts to the attributions
        Whole numbers from 0: features of the same number are one group, also across the tensors of
        a tuple. Of shape ``[batch, ...]`` each example has groups of its own. Numbers may leave
        gaps.
    return_input_shape : bool
        True: each feature gets the sum of its group, as methods with a ``feature_mask`` give them.
        False: one number for each group.

    Returns
    -------
    Tensor or tuple of Tensor, shape of ``attributions``
        With ``return_input_shape=False`` one Tensor, shape [batch, n_groups]: a column for each
        number that the mask has, in ascending order, 0 where an example has no such group. Of the
        dtype of the attributions, float32 of narrower ones; sums are taken in float64.

    Raises
    ------
    ValueError
        If shapes do not fit, an attribution is NaN or infinite, or a number of the mask is
        negative.
    TypeError
        If something is not a tensor, attributions are not floating point or the mask is not of
        whole numbers.

    Notes
    -----
    Features are added one after the other, so the same numbers give the same sum on every call,
    alone or in a batch.

    Examples
    --------
    >>> pieces = torch.tensor([[1.0, 2.0, -4.0]])  # of the words "un-real" and "city"
    >>> words = torch.tensor([[0, 0, 1]])
    >>> sum_groups(pieces, words)
    tensor([[ 3.,  3., -4.]])
    >>> sum_groups(pieces, words, return_input_shape=False)
    tensor([[ 3., -4.]])
    """
    parts = _as_parts(attributions)
    if feature_mask is None:
        raise TypeError("feature_mask must be a tensor or a tuple of tensors, got None")
    players = format_feature_mask(feature_mask, parts)
    owners = players.owners.expand(len(parts[0]), -1)
    sums = _sums(torch.cat([flat_features(part) for part in parts], 1), players)
    if not check_bool("return_input_shape", return_input_shape):
        return sums
    spread = torch.split(sums.gather(1, owners), [part.shape[1:].numel() for part in parts], 1)
    found = tuple(
        each.to(part.dtype).view(part.shape) for each, part in zip(spread, parts, strict=True)
    )
    return found if isinstance(attributions, (tuple, list)) else found[0]


def _as_parts(attributions: Any) -> tuple[Tensor, ...]:
    """Return attributions as a tuple of tensors that have a row for each example."""
    given = tuple(attributions) if isinstance(attributions, (tuple, list)) else (attributions,)
    if not given:
        raise ValueError("attributions must hold at least one tensor, got an empty tuple")
    for part in given:
        if not check_tensor("attributions", part).is_floating_point():
            raise TypeError(f"attributions must be floating point, got {part.dtype}")
        if part.dim() == 0 or len(part) != len(given[0]):
            raise ValueError(
                "attributions must have a row for each example, "
                f"got {', '.join(str(list(each.shape)) for each in given)}"
            )
        check_finite("attributions", part)
    narrow = (torch.float16, torch.bfloat16)
    tensors = [part.detach() for part in given]
    return tuple(part.float() if part.dtype in narrow else part for part in tensors)


def _sums(values: Tensor, players: Players) -> Tensor:
    """Return the sum over each player of each row, [batch, n_players], in the order of features."""
    owners = players.owners  # sorted once where all rows have the same
    order = torch.argsort(owners, dim=1, stable=True).expand(len(values), -1)
    sizes = owners.new_zeros(len(owners), players.n_players)
    sizes.scatter_add_(1, owners, torch.ones_like(owners))
    lengths, sorted_values = sizes.expand(len(values), -1), values.double().gather(1, order)
    if sorted_values.numel() == 0:
        return values.new_zeros(lengths.shape)
    sums: Tensor = torch.segment_reduce(sorted_values, "sum", lengths=lengths, axis=1)
    return sums.to(values.dtype)
