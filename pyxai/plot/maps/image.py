"""Attributions laid over the image that they explain."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_number
from pyxai.plot.axes import as_array, new_axes
from pyxai.plot.maps.grid import Grid, end_of_scale, interpolated, read_grid
from pyxai.plot.maps.signs import SIGNS

__all__ = ["image"]

_METHODS = ("overlay", "heatmap", "masked", "alpha", "original")


def image(
    explanation: Any,
    image: Any = None,
    *,
    example: int = 0,
    method: str = "overlay",
    sign: str = "all",
    channel: str | int = "sum",
    limit: float | None = None,
    percentile: float = 99.0,
    alpha: float | None = None,
    cmap: Any = None,
    colorbar: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw an image and what it contributes: colours over it, or the parts that matter alone.

    Parameters
    ----------
    explanation : Explanation, Tensor or array
        An explanation of inputs [batch, channels, height, width] or [batch, height, width], or the
        attributions of one example, [channels, height, width] or [height, width], or of a batch,
        [batch, channels, height, width].
    image : Tensor or array, shape [height, width] or [channels, height, width], optional
        What was explained, or a batch of such; default: the inputs of the explanation. Integers
        are bytes, numbers from 0 to 1 are shown as they are, and others, as those of images that
        were standardised, are stretched to that range. Where it has at least twice the height and
        width of the attributions, or is the explanation's own and larger, as beside the map of
        Grad-CAM, these are interpolated.
    example : int
        Which example of the explanation, or of a batch, to draw.
    method : str
        ``"overlay"``: colours over the image in grey. ``"heatmap"``: colours alone. ``"masked"``:
        the image darkened where attributions are small. ``"alpha"``: the image transparent there.
        ``"original"``: the image alone.
    sign : str
        ``"all"``, in colours that diverge from 0; ``"positive"``, ``"negative"`` or ``"absolute"``
        values alone, which ``"masked"`` and ``"alpha"`` need.
    channel : "sum", "mean" or int
        How the channels become one map, as in `heatmap`.
    limit : float, optional
        Attribution at the ends of the scale, larger ones saturate; in place of ``percentile``.
    percentile : float
        How many percent of the absolute values lie within the scale. Gradients have a few values
        that leave all others white; 100 shows all without clipping.
    alpha : float, optional
        Opacity of all colours of an overlay, from 0 to 1; default: it grows with the absolute
        value, so that the image is seen where nothing is attributed.
    cmap : str or matplotlib Colormap, optional
        Colours; default: of the sign.
    colorbar : bool
        Whether to draw the scale, in the units of the attributions, with arrows where it clips.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If shapes do not fit, there is no image where one is drawn, or an argument is out of range.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_choice("method", method, _METHODS)
    check_choice("sign", sign, tuple(SIGNS))
    check_bool("colorbar", colorbar)
    if method in ("masked", "alpha") and sign == "all":
        raise ValueError(
            f"sign must be 'positive', 'negative' or 'absolute' for method {method!r}, got 'all'"
        )
    if alpha is not None and not 0 <= check_number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha}")
    needed = method != "heatmap"
    grid = read_grid(explanation, image, example, channel, needed or image is not None)
    if needed and grid.image is None:
        raise ValueError(f"image must be given for method {method!r}, got None")
    choose, low, high, colours = SIGNS[sign]
    values = choose(grid.values)
    end = end_of_scale(values, limit, percentile if limit is None else None)
    clipped = bool((values > end).any()), bool((values < -end).any())
    if grid.grey is not None and grid.grey.shape != values.shape:
        values = choose(interpolated(grid.values, grid.grey.shape))
    ax = new_axes(ax, (5.0, 4.0))
    scale = {"cmap": cmap or colours, "vmin": low * end, "vmax": high * end}
    drawn = _draw(ax, grid, method, values, np.clip(np.abs(values) / end, 0, 1), alpha, scale)
    if colorbar and drawn is not None:
        ends = {(False, False): "neither", (True, False): "max", (False, True): "min"}
        bar = ax.figure.colorbar(
            drawn, ax=ax, fraction=0.046, pad=0.04, extend=ends.get(clipped, "both")
        )
        bar.set_label(grid.quantity if sign != "absolute" else f"|{grid.quantity}|")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(grid.method.replace("_", " ") if title is None else title)
    return ax


def _draw(
    ax: Any, grid: Grid, method: str, values: Any, share: Any, alpha: Any, scale: dict[str, Any]
) -> Any:
    """Draw one of the methods; return what has a scale of colours, if anything has."""
    if method == "overlay":
        ax.imshow(grid.grey, cmap="gray")
        # Where little is attributed the image is seen; a root lets faint colours be seen as well.
        alpha = 0.85 * np.sqrt(np.nan_to_num(share)) if alpha is None else alpha
        return ax.imshow(values, alpha=alpha, **scale)
    if method == "heatmap":
        return ax.imshow(values, **scale)
    pixels = _pixels(grid)
    if method == "masked":
        pixels = pixels * np.nan_to_num(share)[..., None]
    if method == "alpha":
        pixels = np.concatenate([pixels, np.nan_to_num(share)[..., None]], 2)
    ax.imshow(pixels)
    return None


def _pixels(grid: Grid) -> np.ndarray[Any, Any]:
    """Return an image as colours from 0 to 1, [height, width, 3]."""
    values = as_array(grid.image, "image")
    if values.ndim != 3 or len(values) not in (1, 3):
        values = grid.grey[None]
    if _holds_integers(grid.image):
        values = values / 255
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        values = (values - low) / ((high - low) or 1.0)
    found: np.ndarray[Any, Any] = np.broadcast_to(values, (3, *values.shape[1:])).transpose(1, 2, 0)
    return found


def _holds_integers(image: Any) -> bool:
    if isinstance(image, Tensor):
        return not image.is_floating_point() and image.dtype != torch.bool
    return bool(image.dtype.kind in "iu")
