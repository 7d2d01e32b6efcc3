"""Attributions of many examples: a point for each, a row for each feature."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_int
from pyxai.explanation import Explanation
from pyxai.explanation.balance import player_values
from pyxai.explanation.groups import adds_up, groups_of, quantity
from pyxai.plot.axes import new_axes, single_output
from pyxai.plot.features.labels import flat, named_anew, player_labels, rest_label

__all__ = ["beeswarm"]

_GREY = "0.6"
_BINS = 120  # across the axis: points that fall into one are piled up
_LOOSE = 6  # piles up to this size either way are drawn at full distance


def beeswarm(
    explanation: Any,
    *,
    feature_names: Sequence[str] | None = None,
    top: int = 10,
    rest: bool | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the attributions of all examples, coloured by the values of the features.

    Rows are sorted by the mean absolute attribution, largest on top; points that would lie over
    each other are piled up, in the order of the examples, so that a row is wide where many lie.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [batch, *features]
        Of one output. Features that were one player, by a ``feature_mask``, are one row.
    feature_names : sequence of str, optional
        Names of the flattened features; default: those of the explanation, else positions.
    top : int
        How many features have rows of their own.
    rest : bool, optional
        Whether what the other features add up to is one more row; default: unless they are ranks or
        means of regions, whose sums mean nothing.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Horizontal axis in output units. Colours go from the 5th to the 95th percentile of each
        feature; values that are NaN, the same in all examples or not known are grey.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the explanation is empty or of all outputs, or ``top`` or ``feature_names`` do not fit.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.

    Notes
    -----
    Deterministic. Cost O(batch log batch) for each row drawn.
    """
    check_int("top", top, minimum=1)
    shown, with_values = named_anew(explanation, feature_names, None)
    shown = single_output(shown)
    rest = adds_up(shown) if rest is None else check_bool("rest", rest)
    values = player_values(shown).numpy()
    order = np.argsort(-np.abs(values).mean(0), kind="stable")[:top]
    labels, _ = player_labels(shown, order, with_values=False)
    colours = _colours(shown, order) if with_values else np.full((len(values), len(order)), np.nan)
    rows, others = values[:, order], values.shape[1] - len(order)
    if rest and others:
        labels.append(rest_label(shown, others))
        rows = np.column_stack([rows, np.delete(values, order, 1).sum(1)])
        colours = np.column_stack([colours, np.full(len(values), np.nan)])
    ax = new_axes(ax, (3.4 + 0.08 * max(35, *map(len, labels)), 1.4 + 0.4 * len(labels)))
    _draw(ax, labels, rows, colours)
    ax.set_xlabel(quantity(shown))
    ax.set_title(shown.method.replace("_", " ") if title is None else title)
    return ax


def _colours(explanation: Explanation, order: Any) -> Any:
    """Return the place of each feature's value between its low and high ones, or NaN."""
    groups, inputs = groups_of(explanation), flat(explanation.inputs)
    found = np.full((len(inputs), len(order)), np.nan)
    if explanation.of_layer or inputs.shape[1] != len(groups.of_features):  # are not known
        return found
    for column, player in enumerate(order.tolist()):
        values = inputs[:, groups.first[player]]
        known = values[np.isfinite(values)]
        if groups.sizes[player] > 1 or not len(known):
            continue
        low, high = np.percentile(known, (5, 95))
        if low == high:
            low, high = known.min(), known.max()
        if low < high:
            found[:, column] = np.clip((values - low) / (high - low), 0, 1)
    return found


def _draw(ax: Any, labels: list[str], rows: Any, colours: Any) -> None:
    low, high = min(np.nanmin(rows, initial=0.0), 0.0), max(np.nanmax(rows, initial=0.0), 0.0)
    width = (high - low) or 1.0
    places = np.arange(len(labels))[::-1]
    heights = np.column_stack([_piled((column - low) / width) for column in rows.T]) + places
    known = np.isfinite(colours)
    # Thousands of points are an image even in a file of lines.
    shared = {"s": 12, "linewidths": 0, "zorder": 3, "rasterized": rows.size > 2000}
    ax.scatter(rows[~known], heights[~known], color=_GREY, **shared)
    maps = importlib.import_module("matplotlib.colors").ListedColormap
    plasma = importlib.import_module("matplotlib").colormaps["plasma"]
    scale = maps(plasma(np.linspace(0, 0.9, 256)))  # without the yellow that paper swallows
    points = ax.scatter(
        rows[known], heights[known], c=colours[known], cmap=scale, vmin=0, vmax=1, **shared
    )
    if known.any():
        bar = ax.figure.colorbar(points, ax=ax, fraction=0.03, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the feature", labelpad=2)
    ax.set_yticks(places, labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.set_xlim(low - 0.05 * width, high + 0.05 * width)
    ax.axvline(0, color="0.3", linewidth=0.8, zorder=1)
    for place in places:
        ax.axhline(place, color="0.9", linewidth=0.6, zorder=0)
    for edge in ("top", "right"):
        ax.spines[edge].set_visible(False)


def _piled(shares: Any) -> Any:
    """Return a height from -0.42 to 0.42 for each point of a row: neighbours above and below."""
    bins = np.rint(_BINS * np.nan_to_num(shares)).astype(int)
    order = np.argsort(bins, kind="stable")
    ordered = bins[order]
    starts = np.searchsorted(ordered, ordered)
    rank = np.empty(len(bins), dtype=int)
    rank[order] = np.arange(len(bins)) - starts
    steps = (rank + 1) // 2 * np.where(rank % 2, 1, -1)
    return 0.42 * steps / max(_LOOSE, np.abs(steps).max())
