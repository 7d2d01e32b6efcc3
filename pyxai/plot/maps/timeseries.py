"""Attributions of a series: colours behind or along the lines of its channels."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_choice, check_number, describe
from pyxai.explanation import Explanation
from pyxai.explanation.groups import quantity
from pyxai.explanation.names import as_names
from pyxai.plot.axes import as_array, new_axes, one_example, plain
from pyxai.plot.maps.grid import each_player_once, end_of_scale
from pyxai.plot.maps.signs import SIGNS

__all__ = ["timeseries"]

_METHODS = ("overlay", "combined", "line")


def timeseries(
    explanation: Any,
    data: Any = None,
    *,
    example: int = 0,
    method: str = "overlay",
    sign: str = "all",
    x_values: Any = None,
    channel_names: Sequence[str] | None = None,
    channels_last: bool = False,
    limit: float | None = None,
    percentile: float = 99.0,
    alpha: float = 0.7,
    cmap: Any = None,
    colorbar: bool = True,
    title: str | None = None,
    axes: Any = None,
) -> Any:
    """Draw the channels of a series with their attributions.

    Parameters
    ----------
    explanation : Explanation, Tensor or array
        An explanation of inputs [batch, channels, time], or the attributions of one example,
        [channels, time].
    data : Tensor or array, shape [channels, time], optional
        What was explained; default: the inputs of the explanation.
    example : int
        Which example of the explanation.
    method : str
        ``"overlay"``: colours behind the line of each channel; ``"combined"``: the sum over the
        channels, in which a player that a ``feature_mask`` spreads over them counts once, behind
        the lines of all; ``"line"``: lines in the colours, each piece in the mean
        of its ends.
    sign : str
        ``"all"``, ``"positive"``, ``"negative"`` or ``"absolute"`` values.
    x_values : Tensor or array, shape [time], optional
        Positions, ascending; default: 0, 1, ...
    channel_names : sequence of str, optional
        Default: numbers.
    channels_last : bool
        Whether the channels are the last dimension rather than the one before.
    limit : float, optional
        Attribution at the ends of the scale; in place of ``percentile``.
    percentile : float
        How many percent of the absolute values lie within the scale.
    alpha : float
        Opacity of colours behind lines, from 0 to 1.
    cmap : str or matplotlib Colormap, optional
        Colours; default: of the sign.
    colorbar : bool
        Whether to draw the scale, in the units of the attributions.
    title : str, optional
        Default: the method's name.
    axes : array of matplotlib Axes, shape [channels], or one Axes for ``"combined"``, optional
        Where to draw; default: a new figure.

    Returns
    -------
    array of matplotlib Axes
        One for each channel, or one for all.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If shapes do not fit, or an argument is out of range.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_choice("method", method, _METHODS)
    check_choice("sign", sign, tuple(SIGNS))
    check_bool("colorbar", colorbar)
    check_bool("channels_last", channels_last)
    if not 0 <= check_number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha}")
    together = method == "combined"
    values, lines, label, name = _read(explanation, data, example, channels_last, together)
    places = _places(x_values, values.shape[1])
    names = _names(channel_names, len(values))
    if together:
        values = values.sum(0, keepdims=True)
    choose, low, high, colours = SIGNS[sign]
    values = choose(values)
    end = end_of_scale(values, limit, percentile if limit is None else None)
    axes = _axes(axes, len(values))
    scale = {"cmap": cmap or colours, "clim": (low * end, high * end)}
    for row, ax in enumerate(axes):
        if method == "line":
            drawn = _coloured(ax, places, lines[row], values[row], scale)
        else:
            drawn = _behind(ax, places, values[row], alpha, scale)
            for channel in [row] if method == "overlay" else range(len(lines)):
                kept = {} if method == "combined" else {"color": "0.15"}
                ax.plot(places, lines[channel], label=names[channel], linewidth=1.2, **kept)
        if len(places) > 1:
            ax.set_xlim(places[0], places[-1])
        if method != "combined":
            ax.set_ylabel(names[row])
    if method == "combined":
        axes[0].legend(loc="best")
    if colorbar:
        bar = axes[0].figure.colorbar(drawn, ax=list(axes), fraction=0.04, pad=0.02)
        bar.set_label(label if sign != "absolute" else f"|{label}|")
    axes[0].set_title(name.replace("_", " ") if title is None else title)
    return axes


def _read(
    explanation: Any, data: Any, example: int, channels_last: bool, together: bool
) -> tuple[Any, Any, str, str]:
    """Return values and data, both [channels, time], what the values are, and the method.

    Where channels are added up, a player of several has its value in the first alone.
    """
    label, name = "attribution", ""
    if isinstance(explanation, Explanation):
        chosen = one_example(explanation, example)
        if isinstance(chosen.attributions, tuple) or isinstance(chosen.inputs, tuple):
            raise ValueError(
                "explanation must have a single tensor of attributions to be drawn as a series, "
                f"got {describe(chosen.attributions)}; give one of its tensors"
            )
        values = as_array(chosen.attributions[0], "explanation")
        if together and values.ndim == 2 and values.size:
            values = each_player_once(values, chosen, -1 if channels_last else 0)
        if data is None and not chosen.of_layer:
            data = chosen.inputs[0]
        label, name = quantity(chosen), chosen.method
    else:
        values = as_array(explanation, "explanation")
    if data is None:
        of_layer = isinstance(explanation, Explanation)
        kind = "the values of a layer" if of_layer else "a tensor or an array"
        raise ValueError(f"data must be given beside {kind}, got None")
    lines = as_array(data, "data")
    if values.ndim != 2 or not values.size:
        wanted = "[time, channels]" if channels_last else "[channels, time]"
        raise ValueError(
            f"explanation must have shape {wanted} for one example, got {list(values.shape)}"
        )
    if lines.shape != values.shape:
        raise ValueError(
            f"data must have the shape of the attributions, {list(values.shape)}, "
            f"got {list(lines.shape)}"
        )
    return (values.T, lines.T, label, name) if channels_last else (values, lines, label, name)


def _places(x_values: Any, count: int) -> Any:
    if x_values is None:
        return np.arange(count, dtype=np.float64)
    places = as_array(x_values, "x_values")
    if places.shape != (count,):
        raise ValueError(f"x_values must have shape [{count}], got {list(places.shape)}")
    wrong = np.flatnonzero(~(np.diff(places) > 0))
    if len(wrong):
        before, after = places[wrong[0] : wrong[0] + 2]
        raise ValueError(f"x_values must be ascending, got {after:g} after {before:g}")
    return places


def _names(names: Any, count: int) -> list[str]:
    if names is None:
        return [f"channel {channel}" for channel in range(count)]
    listed: list[Any] = as_names("channel_names", names)
    if len(listed) != count:
        raise ValueError(f"channel_names must be {count} names, got {len(listed)}")
    return [plain(name) for name in listed]


def _axes(axes: Any, count: int) -> Any:
    """Return as many Axes as there are rows."""
    if axes is None:
        first = new_axes(None, (7.0, 1.0 + 1.3 * count))
        figure = first.figure
        first.remove()
        axes = figure.subplots(count, sharex=True, squeeze=False)
    found = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(found) != count:
        raise ValueError(f"axes must be {count} Axes, got {len(found)}")
    new_axes(found[0])
    return found


def _behind(ax: Any, places: Any, values: Any, alpha: float, scale: dict[str, Any]) -> Any:
    """Draw a band of colours over the height of the Axes, each around its position."""
    half = np.diff(places, prepend=places[0] - 1, append=places[-1] + 1) / 2
    if len(places) > 1:
        half[0], half[-1] = half[1], half[-2]
    edges = np.append(places - half[:-1], places[-1] + half[-1])
    mesh = ax.pcolormesh(
        edges,
        [0, 1],
        values[None],
        alpha=alpha,
        transform=ax.get_xaxis_transform(),
        zorder=0,
        cmap=scale["cmap"],
    )
    mesh.set_clim(*scale["clim"])
    return mesh


def _coloured(ax: Any, places: Any, line: Any, values: Any, scale: dict[str, Any]) -> Any:
    """Draw a line whose pieces have the mean colour of their ends."""
    # What is white on the scale would be lost on the page.
    ax.plot(places, line, color="0.8", linewidth=3.0, zorder=1)
    points = np.stack([places, line], 1)
    pieces = np.stack([points[:-1], points[1:]], 1)
    collection = importlib.import_module("matplotlib.collections").LineCollection
    drawn = ax.add_collection(collection(pieces, cmap=scale["cmap"], linewidths=2.0))
    drawn.set_array((values[:-1] + values[1:]) / 2)
    drawn.set_clim(*scale["clim"])
    ax.autoscale_view()
    return drawn
