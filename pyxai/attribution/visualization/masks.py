"""Outlines and names of the groups of a mask, on Axes that show the image."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from pyxai._checks import check_int
from pyxai._extras import optional
from pyxai.attribution.visualization.scale import as_numpy

__all__ = ["draw_mask_border", "draw_mask_legend"]


def draw_mask_border(
    ax: Any, mask: Any, border_width: int = 1, border_color: Any = "black"
) -> None:
    """Draw the pixels of a region that are within some steps of its outside.

    Parameters
    ----------
    ax : matplotlib Axes
        Shows the image.
    mask : array or Tensor of bool, shape [height, width]
        The region; one without pixels is left out.
    border_width : int
        How many steps, along lines and columns.
    border_color : colour
        As matplotlib takes it, also with an opacity.
    """
    inside = _region(mask)
    if not inside.any():
        return
    core = inside
    for _ in range(check_int("border_width", border_width, minimum=1)):
        wide = np.pad(core, 1)  # what is beyond the image is outside
        core = core & wide[2:, 1:-1] & wide[:-2, 1:-1] & wide[1:-1, 2:] & wide[1:-1, :-2]
    with optional("plots need", "matplotlib", "viz"):
        colour = importlib.import_module("matplotlib.colors").to_rgba(border_color)
    ax.imshow((inside & ~core)[..., None] * np.array(colour))


def draw_mask_legend(
    ax: Any,
    mask: Any,
    label: str,
    fontsize: int = 10,
    text_color: str = "white",
    bbox_facecolor: str = "black",
    bbox_alpha: float = 0.6,
) -> None:
    """Write a name at the mean place of the pixels of a region.

    Parameters
    ----------
    ax : matplotlib Axes
        Shows the image.
    mask : array or Tensor of bool, shape [height, width]
        The region; one without pixels is left out.
    label : str
        The name.
    fontsize : int
        Of the name, in points.
    text_color, bbox_facecolor : str
        Colours of the name and of the box around it.
    bbox_alpha : float
        Opacity of the box.
    """
    inside = _region(mask)
    if not inside.any():
        return
    line, column = (float(places.mean()) for places in np.nonzero(inside))
    box = {"boxstyle": "round,pad=0.2", "facecolor": bbox_facecolor, "alpha": bbox_alpha}
    middle = {"ha": "center", "va": "center"}
    ax.text(column, line, label, color=text_color, fontsize=fontsize, bbox=box, **middle)


def _region(mask: Any) -> Any:
    inside = as_numpy("mask", mask).astype(bool)
    if inside.ndim != 2:
        raise ValueError(f"mask must have shape [height, width], got {list(inside.shape)}")
    return inside
