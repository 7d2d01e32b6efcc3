"""Attributions of a series."""

from __future__ import annotations

import importlib
import warnings
from enum import Enum
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_choice
from pyxai._lazy import above
from pyxai.attribution.visualization.scale import (
    as_numpy,
    check_flags,
    colorbar,
    colours,
    new_figure,
    normalized,
    show,
)

__all__ = ["TimeseriesVisualizationMethod", "visualize_timeseries_attr"]


class TimeseriesVisualizationMethod(Enum):
    """Names of the pictures of `visualize_timeseries_attr`."""

    overlay_individual = 1
    overlay_combined = 2
    colored_graph = 3


_SERIES = {
    "overlay_individual": "overlay",
    "overlay_combined": "combined",
    "colored_graph": "line",
}


def visualize_timeseries_attr(
    attr: Any,
    data: Any,
    x_values: Any = None,
    method: str = "overlay_individual",
    sign: str = "absolute_value",
    channel_labels: list[str] | None = None,
    channels_last: bool = True,
    plt_fig_axis: tuple[Any, Any] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.7,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
    **pyplot_kwargs: Any,
) -> tuple[Any, Any]:
    """Draw a series with its attributions, scaled as by `visualize_image_attr`.

    Parameters
    ----------
    attr, data : array or Tensor, shape [time, channels]
        Attributions and what was explained.
    x_values : array or Tensor, shape [time], optional
        Positions, ascending; default: 0, 1, ...
    method : str
        Name of a `TimeseriesVisualizationMethod`.
    sign : str
        Name of a `VisualizeSign`.
    channel_labels : list of str, optional
        Names of the channels.
    channels_last : bool
        Whether arrays are [time, channels] rather than [channels, time].
    plt_fig_axis : tuple of Figure and Axes or array of Axes, optional
        Where to draw; default: a new figure.
    outlier_perc : float
        Attributions at the top that make up so many percent of the total are all shown as 1.
    cmap : str or matplotlib Colormap, optional
        Default: from red to green for all, else one colour for each sign.
    alpha_overlay : float
        Opacity of the colours behind lines.
    show_colorbar : bool
        Whether to draw the scale, -1 to 1 or 0 to 1, below.
    title : str, optional
        Heading.
    fig_size : tuple of float
        Of a new figure, in inches.
    use_pyplot : bool
        Whether pyplot makes the figure and shows it.
    **pyplot_kwargs
        Properties of the lines, such as ``linewidth``.

    Returns
    -------
    tuple of Figure and array of Axes
        The Axes alone where there is one.

    Raises
    ------
    ValueError
        If a name is unknown, shapes do not fit, or all attributions are 0.
    ImportError
        If matplotlib is not installed.
    """
    check_choice("method", method, tuple(_SERIES))
    check_bool("channels_last", channels_last)
    check_flags(show_colorbar, use_pyplot)
    values, lines = (as_numpy(name, each) for name, each in (("attr", attr), ("data", data)))
    for name, each in (("attr", values), ("data", lines)):
        if each.ndim != 2:
            raise ValueError(f"{name} must have two dimensions, got shape {list(each.shape)}")
    if channels_last:
        values, lines = values.T, lines.T
    if len(values) > values.shape[1]:
        warnings.warn(
            f"{len(values)} channels for {values.shape[1]} times; see channels_last", stacklevel=2
        )
    combined = method == "overlay_combined"
    shares = normalized(values.sum(0) if combined else values, sign, outlier_perc)
    count = 1 if combined else len(values)
    figure, axes = new_figure(plt_fig_axis, use_pyplot, fig_size, nrows=count, sharex=True)
    drawn = above("plot").timeseries(
        _of_channels(shares, len(values)),
        lines,
        method=_SERIES[method],
        sign="all" if sign == "all" else "positive",
        x_values=None if x_values is None else as_numpy("x_values", x_values),
        channel_names=channel_labels,
        limit=1.0,
        alpha=alpha_overlay,
        cmap=colours(cmap, sign),
        colorbar=False,
        title=title or "",
        axes=axes,
    )
    _style(drawn, channel_labels, pyplot_kwargs)
    if show_colorbar:
        colorbar(drawn[-1], drawn[-1].collections[0], pad=0.4)
    show(use_pyplot)
    return figure, axes


def _of_channels(shares: Any, channels: int) -> Any:
    """Return shares of a sum over channels as those of the first, the others have none."""
    if shares.ndim == 2:
        return shares
    return np.concatenate([shares[None], np.zeros((channels - 1, len(shares)))])


def _style(axes: Any, labels: Any, properties: dict[str, Any]) -> None:
    """Set what lines look like: those over colours, and those that have the colours."""
    for ax in axes:
        collections = importlib.import_module("matplotlib.collections")
        coloured = [each for each in ax.collections if isinstance(each, collections.LineCollection)]
        for line in coloured or ax.lines:
            line.set(**properties)
        if labels is None:
            ax.set_ylabel("")
