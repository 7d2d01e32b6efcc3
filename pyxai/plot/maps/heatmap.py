"""Attributions of an image, or of any grid of features, as colours."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pyxai._checks import check_bool
from pyxai.plot.axes import new_axes
from pyxai.plot.maps.grid import end_of_scale, interpolated, read_grid

__all__ = ["heatmap"]


def heatmap(
    explanation: Any,
    image: Any = None,
    *,
    example: int = 0,
    channel: str | int = "sum",
    limit: float | None = None,
    percentile: float | None = None,
    overlay: bool = True,
    cmap: str = "RdBu_r",
    colorbar: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw attributions as a map whose colours diverge from 0.

    Nothing is rescaled or, unless asked, cut off: the colour bar is in the units of the
    attributions, its middle is 0, and negative values are as visible as positive ones.

    Parameters
    ----------
    explanation : Explanation, Tensor or array
        An explanation of inputs [batch, height, width] or [batch, channels, height, width], or
        the attributions of one example, [height, width] or [channels, height, width], or of a
        batch, [batch, channels, height, width].
    image : Tensor or array, shape [height, width] or [channels, height, width], optional
        Shades the colours; default: the inputs of the explanation. A batch serves too, of which
        the example is taken. Where it has at least twice the height and width of the attributions,
        or is the explanation's own and larger, as beside the map of a layer, they are interpolated
        to its size.
    example : int
        Which example of the explanation, or of a batch, to draw.
    channel : "sum", "mean" or int
        How the channels become one map: their sum, in which a player that a ``feature_mask`` or
        XRAI makes of several channels counts once; their mean, or one of them.
    limit : float, optional
        Attribution at the ends of the colour scale, larger ones saturate; default: the largest
        absolute value of the map. Give the same number to compare several maps.
    percentile : float, optional
        Let so many percent of the absolute values lie within the scale, in place of ``limit``.
        Gradients have a few values that leave all others white; 99 shows those.
    overlay : bool
        Whether to shade the colours by the image, so that one sees where on it they are.
    cmap : str
        Name of a diverging matplotlib colour map.
    colorbar : bool
        Whether to draw the scale beside the map.
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
        If shapes do not fit, or ``channel``, ``limit`` or ``percentile`` is out of range.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_bool("overlay", overlay)
    check_bool("colorbar", colorbar)
    grid = read_grid(explanation, image, example, channel, with_image=overlay)
    flat, end = grid.values, end_of_scale(grid.values, limit, percentile)
    beyond = bool((np.abs(flat) > end).any())
    if grid.grey is not None and grid.grey.shape != flat.shape:
        flat = interpolated(flat, grid.grey.shape)
    ax = new_axes(ax, (5.0, 4.0))
    scale = _draw(ax, flat, grid.grey, end, cmap)
    if colorbar:
        ends = "both" if beyond else "neither"
        bar = ax.figure.colorbar(scale, ax=ax, fraction=0.046, pad=0.04, extend=ends)
        bar.set_label(grid.quantity)
    ax.set_title(grid.method.replace("_", " ") if title is None else title)
    return ax


def _draw(ax: Any, flat: Any, picture: Any, limit: float, cmap: str) -> Any:
    """Draw the map and return its scale."""
    scalar_mappable = importlib.import_module("matplotlib.cm").ScalarMappable
    colours = scalar_mappable(cmap=cmap)
    colours.set_clim(-limit, limit)
    pixels = colours.to_rgba(flat)
    if picture is not None:
        # The image shades the colours: hue and sign stay those of the scale, 0 shows the image.
        low, high = float(picture.min()), float(picture.max())
        shade = 0.7 + 0.3 * (picture - low) / ((high - low) or 1.0)
        pixels[..., :3] *= shade[..., None]
    ax.imshow(pixels, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    return colours
