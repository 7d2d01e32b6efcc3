"""The three principles of several methods as one table of coloured cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyxai._checks import describe
from pyxai.plot.axes import new_axes
from pyxai.taylor import PrinciplesTable

__all__ = ["principles"]

_COLUMNS = {
    "E1": "e1",
    "surrogate\nerror": "epsilon",
    "U": "u",
    "unrelated\n(neuron)": "unrelated_share",
    "C": "c",
    "gap\n(neuron)": "column_gap",
}
# Pairs of measures belong to one principle each.
_GROUPS = ("P1 low approximation error", "P2 no unrelated allocation", "P3 complete allocation")
_GOOD, _BAD, _UNKNOWN = "#c7e3d4", "#b2182b", "#eeeeee"


def principles(table: PrinciplesTable, *, title: str | None = None, ax: Any = None) -> Any:
    """Draw one row per method and one cell per measure; green cells are 0, red ones are not.

    Parameters
    ----------
    table : PrinciplesTable
        From `pyxai.taylor.allocation.principles_table`.
    title : str, optional
        Default: none.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Numbers are shares without a unit; the darker the red the larger, full at 1. Grey cells
        were not measured.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If ``table`` is something else.
    ValueError
        If ``table`` has no row.
    """
    if not isinstance(table, PrinciplesTable):
        raise TypeError(f"table must be a PrinciplesTable, got {describe(table)}")
    if not table.rows:
        raise ValueError("table must have at least one row, got 0")
    rows = [row.to_dict() for row in table.rows]
    ax = new_axes(ax, (7.6, 1.4 + 0.32 * len(rows)))
    for y, (row, values) in enumerate(zip(table.rows, rows, strict=True)):
        for x, key in enumerate(_COLUMNS.values()):
            _draw_cell(ax, x, y, values.get(key), row.tolerance)
    ax.set_xlim(0, len(_COLUMNS))
    ax.set_ylim(len(rows), 0)
    ax.set_xticks(np.arange(len(_COLUMNS)) + 0.5, list(_COLUMNS))
    ax.set_yticks(np.arange(len(rows)) + 0.5, [row.name for row in table.rows])
    ax.tick_params(length=0)
    for number, group in enumerate(_GROUPS):
        ax.text(2 * number + 1, -0.12, group, ha="center", va="bottom", fontsize=9)
        if number:
            ax.axvline(2 * number, color="black", linewidth=1)
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, pad=24)
    return ax


def _draw_cell(ax: Any, x: int, y: int, value: float | None, tolerance: float) -> None:
    if value is None:
        colour, alpha, text = _UNKNOWN, 1.0, ""
    elif abs(value) <= tolerance:
        colour, alpha, text = _GOOD, 1.0, "0"
    else:
        colour, alpha, text = _BAD, 0.25 + 0.65 * min(abs(value), 1.0), f"{value:.2g}"
    ax.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], color=colour, alpha=alpha, linewidth=0)
    ax.plot([x, x + 1], [y, y], color="white", linewidth=1.5)
    dark = alpha > 0.6 and colour == _BAD
    ax.text(
        x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=8,
        color="white" if dark else "black",
    )  # fmt: skip
