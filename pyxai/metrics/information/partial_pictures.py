"""Pictures of which only some pixels are known, and how much information they hold."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import check_int, check_number
from pyxai._extras import optional
from pyxai.ops import philox_uniform

__all__ = ["Image", "Mask", "blurred", "interpolated", "random_pixel_masks", "webp_bytes"]

Image = npt.NDArray[np.uint8]  # [height, width] or [height, width, channels]
Mask = npt.NDArray[np.bool_]  # [height, width]


def random_pixel_masks(
    batch: int,
    height: int,
    width: int,
    *,
    fraction: float = 0.01,
    seed: int = 0,
    example_ids: Tensor | None = None,
) -> Tensor:
    """Return masks of randomly chosen pixels, another one for each image.

    Parameters
    ----------
    batch, height, width : int
        Sizes.
    fraction : float
        In [0, 1]: ``int(fraction * height * width)`` pixels are chosen.
    seed : int
        An image's mask depends on the seed and its name only.
    example_ids : Tensor, shape [batch], optional
        int64 names of the images; default: their places.

    Returns
    -------
    Tensor, shape [batch, height, width]
        bool.

    Raises
    ------
    ValueError
        If ``fraction`` is outside [0, 1].
    """
    for name, size in (("batch", batch), ("height", height), ("width", width)):
        check_int(name, size, minimum=1)
    check_number("fraction", fraction)
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}")
    ids = torch.arange(batch) if example_ids is None else example_ids
    keys = philox_uniform((height * width,), 1, seed=seed, example_ids=ids, dtype=torch.float64)[
        :, 0
    ]
    chosen = keys.argsort(dim=1, stable=True)[:, : int(height * width * fraction)]
    masks = torch.zeros(batch, height * width, dtype=torch.bool).scatter_(1, chosen, True)
    return masks.view(batch, height, width)


def blurred(picture: Image, mask: Mask, *, fast: bool = False) -> Image:
    """Interpolate an image linearly from some of its pixels; the four corners are always known.

    Parameters
    ----------
    picture : array, shape [height, width] or [height, width, channels]
        uint8.
    mask : array, shape [height, width]
        bool: known pixels.
    fast : bool
        Whether one triangulation serves all channels.

    Returns
    -------
    array
        Like ``picture``; outside of the known pixels' hull it is the channel's mean.

    Raises
    ------
    ImportError
        If scipy is not installed.
    """
    known = mask.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    if known.all():
        return picture
    channels = picture.reshape(*known.shape, -1)
    points, missing = np.argwhere(known), np.argwhere(~known)
    mean = channels.mean((0, 1))
    result = channels.astype(np.float32) * known[..., None]
    if fast:
        values = channels[known].astype(np.float64)
        found = interpolated(points, values, known.shape)[~known]
        result[~known] = np.where(np.isnan(found), mean, found)
    else:
        griddata = _needs("scipy.interpolate", "scipy").griddata
        for index in range(channels.shape[2]):
            one = channels[..., index][known]
            result[~known, index] = griddata(
                points, one, missing, method="linear", fill_value=mean[index]
            )
    rounded: Image = np.round(result).astype(np.uint8).reshape(picture.shape)
    return rounded


def interpolated(
    points: npt.NDArray[np.int64], values: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Interpolate linearly on the Delaunay triangulation of some pixels, at all pixels.

    Triangles are filled pixel by pixel in whole numbers, which needs no search for the triangle
    of a point: that search takes most of the time of a general interpolator.

    Parameters
    ----------
    points : array, shape [n, 2]
        Known pixels, int64.
    values : array, shape [n, channels]
        float64.
    shape : tuple of int
        Height and width.

    Returns
    -------
    array, shape [height, width, channels]
        float64; NaN outside of the hull.

    Raises
    ------
    ImportError
        If scipy is not installed.
    """
    result = np.full((*shape, values.shape[1]), np.nan)
    # scipy's own options, for equal triangles where pixels lie on one circle, but for Q5: a last
    # pass over all points, which leaves the triangles as they are, is left out.
    options = "Qbb Qc Qz Q12 Q5"
    triangles = _needs("scipy.spatial", "scipy").Delaunay(points, qhull_options=options).simplices
    corners = points.astype(np.int32)[triangles]  # [triangles, corner, axis]
    low = corners.min(1)
    sizes = corners.max(1) - low + 1
    # Triangles of three neighbours hold no other pixel; where much is known they are the most.
    large = (sizes > 2).any(1)
    triangles, corners, low, sizes = triangles[large], corners[large], low[large], sizes[large]
    result[points[:, 0], points[:, 1]] = values
    ends = sizes.prod(1).cumsum()
    start = 0
    while start < len(triangles):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _MAX_CANDIDATES, side="right")))
        part = slice(start, stop)
        _fill(result, corners[part], values[triangles[part]], low[part], sizes[part])
        start = stop
    return result


_MAX_CANDIDATES = 2**21  # pixels of bounding boxes that are looked at together


def _fill(
    result: npt.NDArray[np.float64],
    corners: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    low: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int32],
) -> None:
    """Write the interpolated values of the pixels inside each triangle."""
    counts = sizes.prod(1)
    owner = np.repeat(np.arange(len(corners), dtype=np.int32), counts)
    offset = np.arange(len(owner), dtype=np.int32)
    offset -= np.repeat((counts.cumsum() - counts).astype(np.int32), counts)
    row, column = np.divmod(offset, sizes[owner, 1])
    # Where a corner lies from a pixel, [corner, axis, pixel]; 32 bits hold areas of any image.
    shifts = (corners - low[:, None]).transpose(1, 2, 0)[..., owner]
    shifts[:, 0] -= row
    shifts[:, 1] -= column
    # Twice the signed areas that a pixel spans with two corners each: its barycentric weights.
    weights = np.stack([_cross(shifts[k - 2], shifts[k - 1]) for k in range(3)])
    area = weights.sum(0)  # positive: scipy lists the corners of a triangle counterclockwise
    inside = ((weights >= 0).all(0) & (area > 0)).nonzero()[0]
    owner, weights, area = owner[inside], weights[:, inside], area[inside]
    mixed = np.einsum("kp,pkc->pc", weights.astype(np.float64), values[owner]) / area[:, None]
    result[low[owner, 0] + row[inside], low[owner, 1] + column[inside]] = mixed


def _cross(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    product: npt.NDArray[np.int32] = a[0] * b[1] - a[1] * b[0]
    return product


def webp_bytes(picture: Image) -> int:
    """Return the size of an image as a lossless WebP file, a proxy of its information.

    Parameters
    ----------
    picture : array, shape [height, width] or [height, width, channels]
        uint8.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    image = _needs("PIL.Image", "Pillow")
    buffer = io.BytesIO()
    flat = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    image.fromarray(flat).save(buffer, format="webp", lossless=True, quality=100)
    return buffer.tell()


def _needs(module: str, package: str) -> Any:
    with optional("information curves need", package, "metrics"):
        return importlib.import_module(module)
