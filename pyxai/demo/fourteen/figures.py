"""Pictures of the fourteen methods on one example."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai import plot
from pyxai.demo.figures import subplots
from pyxai.demo.fourteen.comparison import Fourteen

__all__ = ["effects", "maps", "marks", "principles", "values", "weights"]

_SIGNS = {True: "\u2713", False: "\u2717", None: "?"}  # a check mark and a cross


def marks(found: Fourteen, name: str) -> str:
    """Write the three marks of a method as signs."""
    return " ".join(_SIGNS[mark] for mark in found.table[name].marks())


def maps(found: Fourteen, columns: int) -> Any:
    """Draw the patches' values of every method over the image, all in one scale.

    Parameters
    ----------
    found : Fourteen
        Of an image.
    columns : int
        How many pictures stand side by side.

    Returns
    -------
    matplotlib Figure
    """
    wide = columns > 3
    lines = -(-(1 + len(found.values)) // columns)
    side, size = (1.85, 9) if wide else (1.2, 7.5)
    figure, axes = subplots(
        lines, columns, squeeze=False, figsize=(side * columns, (side + 0.3) * lines)
    )
    image = found.task.inputs[found.row, 0]
    axes[0][0].imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    axes[0][0].set_title("the digit and\nits patches", fontsize=size)
    limit = _limit(found)
    for ax, name, row in zip(axes.flat[1:], found.names_of_methods, found.values, strict=True):
        patches = row[found.mask[0, 0]]
        drawn = ax.imshow(patches.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1, alpha=0.25 * image.numpy())
        shown = name if wide else name.replace(" ", "\n", 1)
        ax.set_title(f"{shown}\n{marks(found, name)}", fontsize=size)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        _grid(ax, found.mask[0, 0])
    bar = {"shrink": 0.6} if wide else {"location": "bottom", "shrink": 0.9, "aspect": 30}
    figure.colorbar(drawn, ax=axes, label="value of a patch, in logits", extend="both", **bar)
    return figure


def _limit(found: Fourteen) -> float:
    """Return the largest value of a method with all marks, at which colours are full."""
    fair = [found.names_of_methods.index(name) for name in found.fair]
    return float((found.values[fair] if fair else found.values).abs().max())


def _grid(ax: Any, mask: Tensor) -> None:
    """Draw the borders between patches."""
    height, width = mask.shape
    for y in range(1, height):
        if bool((mask[y] != mask[y - 1]).any()):
            ax.axhline(y - 0.5, color="0.6", linewidth=0.6)
    for x in range(1, width):
        if bool((mask[:, x] != mask[:, x - 1]).any()):
            ax.axvline(x - 0.5, color="0.6", linewidth=0.6)


def values(found: Fourteen) -> Any:
    """Draw the players' values of every method as a table.

    Parameters
    ----------
    found : Fourteen
        Of a table row.

    Returns
    -------
    matplotlib Figure
    """
    figure, ax = subplots(figsize=(7.4, 5.0))
    labels = [f"{name}  {marks(found, name)}" for name in found.names_of_methods]
    _matrix(ax, found.values, "{:.1f}", labels, found.names, full_at=_limit(found))
    return figure


def effects(found: Fourteen) -> Any:
    """Draw effects of one and of two players as a matrix, and the strongest of all as bars.

    Parameters
    ----------
    found : Fourteen

    Returns
    -------
    matplotlib Figure
    """
    figure, (left, right) = subplots(2, 1, figsize=(5.6, 8.0), height_ratios=(1.35, 1))
    plot.interactions(found.effects, title="Of one (diagonal) and of two", ax=left)
    top = found.effects.top(9)[::-1]
    colours = ["#b2182b" if value > 0 else "#2166ac" for _, value in top]
    right.barh(range(len(top)), [value for _, value in top], color=colours)
    names = [" + ".join(found.names[player] for player in players) for players, _ in top]
    for place, (players, _) in enumerate(top):
        if len(names[place]) > 30:
            names[place] = f"{len(players)} together"
    right.set_yticks(range(len(top)), names, fontsize=8)
    right.axvline(0, color="0.5", linewidth=0.8)
    right.spines[["top", "right"]].set_visible(False)
    right.set(xlabel="effect, in logits", title="The strongest")
    return figure


def weights(found: Fourteen, players: tuple[int, ...]) -> Any:
    """Draw which part of one effect each method gives to whom.

    Parameters
    ----------
    found : Fourteen
    players : tuple of int
        Whose effect.

    Returns
    -------
    matplotlib Figure
    """
    figure, ax = subplots(figsize=(7.4, 5.0))
    labels = [f"{name}  {marks(found, name)}" for name in found.names_of_methods]
    grid = 100 * found.weights(players)
    names = [f"{name} *" if i in players else name for i, name in enumerate(found.names)]
    _matrix(ax, grid, "{:.0f}", labels, names, full_at=100.0)
    return figure


def principles(found: Fourteen) -> Any:
    """Draw the measures of the three principles.

    Parameters
    ----------
    found : Fourteen

    Returns
    -------
    matplotlib Figure
    """
    figure, ax = subplots(figsize=(8.2, 5.4))
    plot.principles(found.table, ax=ax)
    return figure


def _matrix(ax: Any, grid: Tensor, form: str, rows: Any, columns: Any, *, full_at: float) -> None:
    """Draw a signed matrix with its numbers; ``full_at`` is where the colour is full."""
    ax.imshow(grid.numpy(), cmap="RdBu_r", vmin=-full_at, vmax=full_at, aspect="auto")
    for row, line in enumerate(grid.tolist()):
        for column, value in enumerate(line):
            ink = "white" if abs(value) > 0.6 * full_at else "#20222a"
            text = form.format(value if abs(value) >= 0.05 else 0.0)
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=8.5)
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(columns)), columns, fontsize=8.5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
