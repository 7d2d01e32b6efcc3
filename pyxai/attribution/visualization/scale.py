"""What all pictures share: shares of a scale, colours, figures with and without pyplot."""

from __future__ import annotations

import importlib
from enum import Enum
from typing import Any

import numpy as np
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_number, describe
from pyxai._extras import optional

__all__ = [
    "VisualizeSign",
    "as_numpy",
    "check_flags",
    "colorbar",
    "colours",
    "new_figure",
    "normalized",
    "show",
]

_COLOURS = {"positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}


class VisualizeSign(Enum):
    """Which attributions are shown."""

    positive = 1
    absolute_value = 2
    negative = 3
    all = 4


def normalized(values: Any, sign: str, outlier_perc: float) -> Any:
    """Return shares of the scale: of the sign asked for, clipped to -1 and 1."""
    check_choice("sign", sign, tuple(kind.name for kind in VisualizeSign))
    if not 0 <= check_number("outlier_perc", outlier_perc) <= 100:
        raise ValueError(f"outlier_perc must be from 0 to 100, got {outlier_perc}")
    chosen = {
        "all": values,
        "positive": np.maximum(values, 0),
        "negative": np.maximum(-values, 0),
        "absolute_value": np.abs(values),
    }[sign]
    ordered = np.sort(np.abs(chosen[chosen != 0]), axis=None)
    if not len(ordered):
        raise ValueError(f"attr must have values of sign {sign!r} to be scaled, got none but 0")
    sums = np.cumsum(ordered)
    first = np.searchsorted(sums, 0.01 * (100 - outlier_perc) * sums[-1])
    end = ordered[min(first, len(ordered) - 1)]  # past the last one by rounding only
    return np.clip(chosen / end, -1, 1)


def as_numpy(name: str, value: Any) -> Any:
    """Return an array or a tensor as an array."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be an array, got {describe(value)}")
    return value


def colours(cmap: Any, sign: str) -> Any:
    """Return the colour map given, or that of a sign."""
    if cmap is not None or sign != "all":
        return cmap or _COLOURS[sign]
    maps = importlib.import_module("matplotlib.colors").LinearSegmentedColormap
    return maps.from_list("RdWhGn", ["red", "white", "green"])


def new_figure(given: Any, use_pyplot: bool, size: Any, **grid: Any) -> tuple[Any, Any]:
    """Return a figure and its Axes: those given, or new ones by pyplot or without it."""
    if given is not None:
        return tuple(given)
    with optional("plots need", "matplotlib", "viz"):
        if use_pyplot:
            figure = importlib.import_module("matplotlib.pyplot").figure(figsize=size)
        else:
            figure = importlib.import_module("matplotlib.figure").Figure(figsize=size)
    figure.set_layout_engine("tight")
    return figure, figure.subplots(**grid)


def colorbar(ax: Any, mappable: Any, pad: float) -> None:
    """Draw a scale below, or leave its room so that pictures side by side are of one size."""
    locatable = importlib.import_module("mpl_toolkits.axes_grid1").make_axes_locatable(ax)
    below = locatable.append_axes("bottom", size="5%", pad=pad)
    if mappable is None:
        below.set_axis_off()
    else:
        ax.figure.colorbar(mappable, cax=below, orientation="horizontal")


def show(use_pyplot: bool) -> None:
    """Let pyplot show its figures where it is used."""
    if use_pyplot:
        importlib.import_module("matplotlib.pyplot").show()


def check_flags(show_colorbar: bool, use_pyplot: bool) -> None:
    """Raise unless both are True or False."""
    check_bool("show_colorbar", show_colorbar)
    check_bool("use_pyplot", use_pyplot)
