"""Hierarchies of groups: phrases above their words, parts of an image as they grow and merge."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_int, check_number, describe
from pyxai.decomposition import Hierarchy, HierarchyNode
from pyxai.plot.axes import as_array, new_axes, plain
from pyxai.plot.colours import ink

__all__ = ["hierarchy"]

_PANELS = 6
_GAP = 0.08  # between panels, in widths of one


def hierarchy(
    tree: Hierarchy,
    *,
    steps: Sequence[int] | None = None,
    limit: float | None = None,
    colorbar: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the groups of a sentence above its words, or those of an image step by step.

    Red speaks for the explained output, blue against it, in output units. A phrase stands above
    the parts that it was made of. In an image each group has one colour, and its score where
    there is room.

    Parameters
    ----------
    tree : Hierarchy
        Of `pyxai.decomposition.AgglomerativeDecomposition`.
    steps : sequence of int, optional
        Which steps of an image to draw, side by side; default: up to six, from the first to the
        last. Of no meaning for text.
    limit : float, optional
        Score at the ends of the colour scale; default: the largest that is drawn.
    colorbar : bool
        Whether to draw the scale.
    title : str, optional
        Heading.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If ``tree`` is something else.
    ValueError
        If ``limit`` is not positive, or there is no such step.
    ImportError
        If matplotlib is not installed.
    """
    if not isinstance(tree, Hierarchy):
        raise TypeError(f"tree must be a Hierarchy, got {describe(tree)}")
    check_bool("colorbar", colorbar)
    if limit is not None and not check_number("limit", limit) > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    if tree.layout == "text":
        ax, colours = _sentence(tree, limit, ax)
    else:
        ax, colours = _image(tree, _steps(tree, steps), limit, ax)
    if colorbar:
        ax.figure.colorbar(colours, ax=ax, fraction=0.025, pad=0.02).set_label("score")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title)
    return ax


def _colours(scores: Sequence[float], limit: float | None) -> Any:
    colours = importlib.import_module("matplotlib.cm").ScalarMappable(cmap="RdBu_r")
    end = limit or max((abs(score) for score in scores), default=0.0) or 1.0
    colours.set_clim(-end, end)
    return colours


def _written(score: float, colours: Any) -> str:
    """Return a score with as many decimals as tell it from others of the scale."""
    decimals = max(0, 2 - int(np.floor(np.log10(colours.get_clim()[1]))))
    text = f"{score:.{min(decimals, 6)}f}"
    return text if float(text) else text.lstrip("-")  # a zero has no sign


def _sentence(tree: Hierarchy, limit: float | None, ax: Any) -> tuple[Any, Any]:
    """Draw a box for each node, at the height of its level, over its words."""
    words = [plain(tree.label(unit)) for unit in range(tree.n_units)]
    edges = np.cumsum([0.0, *(max(len(word), 4) + 1.5 for word in words)])
    top = max(node.level for node in tree.nodes)
    ax = new_axes(ax, (max(4.0, 0.105 * edges[-1] + 1.0), 0.48 * top + 1.3))
    colours = _colours([node.score for node in tree.nodes], limit)
    middles = {node.id: _middle(node, edges) for node in tree.nodes}
    for node in tree.nodes:
        for child in node.children:
            below = tree.nodes[child]
            ax.plot(
                [middles[child]] * 2,
                [below.level + 0.7, node.level],
                color="0.6",
                linewidth=0.9,
                zorder=1,
            )
        _box(ax, node, edges, colours)
    for unit, word in enumerate(words):
        ax.text((edges[unit] + edges[unit + 1]) / 2, -0.12, word, ha="center", va="top", fontsize=9)
    ax.set_xlim(0, edges[-1])
    ax.set_ylim(-0.75, top + 0.85)
    return ax, colours


def _middle(node: HierarchyNode, edges: Any) -> float:
    first, last = _runs(node)[0]
    return float(edges[first] + edges[last + 1]) / 2


def _runs(node: HierarchyNode) -> list[tuple[int, int]]:
    """Return the first and last word of each run of neighbouring members."""
    breaks = [a for a, b in pairwise(node.members) if b > a + 1]
    starts = [b for a, b in pairwise(node.members) if b > a + 1]
    return list(zip([node.members[0], *starts], [*breaks, node.members[-1]], strict=True))


def _box(ax: Any, node: HierarchyNode, edges: Any, colours: Any) -> None:
    rectangle = importlib.import_module("matplotlib.patches").Rectangle
    colour = colours.to_rgba(node.score)
    for place, (first, last) in enumerate(_runs(node)):
        left, right = float(edges[first]) + 0.25, float(edges[last + 1]) - 0.25
        box = rectangle(
            (left, node.level), right - left, 0.7, facecolor=colour, edgecolor="0.6", linewidth=0.6
        )
        box.set_zorder(2)
        ax.add_patch(box)
        if place == 0:
            ax.text(
                (left + right) / 2,
                node.level + 0.34,
                _written(node.score, colours),
                ha="center",
                va="center",
                fontsize=8,
                color=ink(colour),
                zorder=3,
            )


def _steps(tree: Hierarchy, steps: Sequence[int] | None) -> list[int]:
    """Return which steps are drawn."""
    if steps is not None:
        chosen = [check_int("steps", step, minimum=0) for step in steps]
        if not chosen or max(chosen) >= len(tree.steps):
            raise ValueError(f"steps must be numbers below {len(tree.steps)}, got {list(steps)}")
        return chosen
    last = len(tree.steps) - 1
    spread = np.linspace(0, max(last, 0), min(_PANELS, max(last + 1, 1)))
    return [int(step) for step in np.unique(spread.round())]


def _image(tree: Hierarchy, steps: list[int], limit: float | None, ax: Any) -> tuple[Any, Any]:
    """Draw the groups of each step on the image, side by side."""
    shown = [tree.steps[step] if tree.steps else {} for step in steps]
    nodes = {node for groups in shown for node in groups.values()}
    colours = _colours([tree.nodes[node].score for node in nodes], limit)
    height, width = tree.units.shape
    across = width * (1 + _GAP)
    ax = new_axes(ax, (1.75 * len(steps) + 0.9, 1.65 * height / width + 0.6))
    picture = _picture(tree)
    for place, (step, groups) in enumerate(zip(steps, shown, strict=True)):
        left = place * across
        of = np.full((height, width), -1)
        for node in groups.values():
            of[tree.positions(node).numpy()] = node
        panel = picture.copy()
        for node in groups.values():
            colour = np.array(colours.to_rgba(tree.nodes[node].score)[:3])
            panel[of == node] = 0.25 * panel[of == node] + 0.75 * colour
        ax.imshow(panel, extent=(left, left + width, height, 0), interpolation="nearest")
        _outlines(ax, of, left)
        if len(groups) <= 4:
            for node in groups.values():
                score = tree.nodes[node].score
                paint = ink(colours.to_rgba(score))
                _score(ax, _written(score, colours), of == node, left, paint)
        what = f"step {step + 1}" if step < tree.n_grown else f"merge {step + 1 - tree.n_grown}"
        ax.text(left + width / 2, -0.03 * height, what, ha="center", va="bottom", fontsize=9)
    ax.set_xlim(0, len(steps) * across - width * _GAP)
    ax.set_ylim(height, 0)
    return ax, colours


def _picture(tree: Hierarchy) -> np.ndarray[Any, Any]:
    """Return the input as colours from 0 to 1, [height, width, 3]."""
    values = as_array(tree.inputs[0], "inputs")
    values = values[None] if values.ndim == 2 else values
    if len(values) != 3:
        values = values.mean(0, keepdims=True).repeat(3, 0)
    low, high = values.min(), values.max()
    scaled: np.ndarray[Any, Any] = (values - low) / ((high - low) or 1.0)
    return scaled.transpose(1, 2, 0)


def _outlines(ax: Any, of: np.ndarray[Any, Any], left: float) -> None:
    """Draw lines where one group ends."""
    padded = np.pad(of, 1, constant_values=-1)
    lines = [
        [(left + column, line - 1), (left + column, line)]
        for line, column in np.argwhere(padded[:, 1:] != padded[:, :-1])
    ]
    lines += [
        [(left + column - 1, line), (left + column, line)]
        for line, column in np.argwhere(padded[1:] != padded[:-1])
    ]
    collection = importlib.import_module("matplotlib.collections").LineCollection
    ax.add_collection(collection(lines, colors="0.15", linewidths=0.8))


def _score(ax: Any, text: str, where: Any, left: float, colour: str) -> None:
    """Write the score of a group into the longest run of its positions, if that has room."""
    height, width = where.shape
    length, line, first = max(
        ((run, line, first) for line in range(height) for first, run in _lengths(where[line])),
        key=lambda found: found[0],
    )
    if length >= 0.055 * width * len(text):
        place = left + first + length / 2
        ax.text(place, line + 0.5, text, ha="center", va="center", fontsize=8, color=colour)


def _lengths(row: Any) -> list[tuple[int, int]]:
    """Return the start and the length of each run in a line of truth values."""
    edges = np.flatnonzero(np.diff(np.pad(row.astype(int), 1)))
    return [(int(start), int(stop - start)) for start, stop in edges.reshape(-1, 2)]
