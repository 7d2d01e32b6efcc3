"""Effects of single features and of pairs as a matrix of signed colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyxai._checks import check_int, describe
from pyxai.explanation.numbers import number
from pyxai.plot.axes import as_array, new_axes, plain
from pyxai.plot.colours import ink
from pyxai.taylor import HarsanyiDividends, IntegratedHessians, InteractionIndices, PairEffects

__all__ = ["interactions"]

_WRITTEN = 12  # matrices up to this size get numbers in their cells


def interactions(
    effects: Any,
    *,
    example: int = 0,
    names: Sequence[str] | None = None,
    top: int = 20,
    diagonal: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw pair effects as a symmetric matrix with single effects on the diagonal.

    Parameters
    ----------
    effects : PairEffects, HarsanyiDividends, InteractionIndices, IntegratedHessians, or array
        An array or tensor has shape [n, n] or [batch, n, n].
    example : int
        Which example of the batch.
    names : sequence of str, optional
        Names of the players; default: those of the effects.
    top : int
        Of more players, those with the largest effects are drawn, in their order.
    diagonal : bool
        Whether single effects are drawn; without them the colours are those of the pairs.
    title : str, optional
        Default: what the effects are.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Colours in output units, red positive and blue negative, symmetric about 0.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If ``effects`` is something else.
    ValueError
        If shape, ``example``, ``names`` or ``top`` do not fit.
    """
    check_int("top", top, minimum=1)
    check_int("example", example, minimum=0)
    table, own_names, label = _read(effects)
    if example >= len(table):
        raise ValueError(f"example must be below {len(table)}, got {example}")
    matrix = table[example]
    labels = [str(name) for name in (own_names if names is None else names)]
    if len(labels) != len(matrix):
        raise ValueError(f"names must have {len(matrix)} entries, got {len(labels)}")
    if not diagonal:
        matrix = np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)
    if len(matrix) > top:
        strength = np.abs(matrix).max(1)
        chosen = np.sort(np.argsort(-strength, kind="stable")[:top])
        matrix, labels = matrix[np.ix_(chosen, chosen)], [labels[i] for i in chosen]
    size = 2.2 + 0.38 * len(matrix)
    ax = new_axes(ax, (size + 0.8, size))
    bound = float(np.abs(matrix).max()) or 1.0
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound)
    labels = [plain(label) for label in labels]
    ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if len(matrix) <= _WRITTEN:
        zero = 4 * np.finfo(np.float64).eps * bound
        for (row, column), value in np.ndenumerate(matrix):
            colour = ink(image.to_rgba(value))
            if row == column and not diagonal:
                continue
            text = number(value, ".2g", zero)
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    ax.figure.colorbar(image, ax=ax, label="effect (output units)", shrink=0.8)
    ax.set_title(label if title is None else title)
    return ax


def _read(effects: Any) -> tuple[np.ndarray[Any, Any], Sequence[str], str]:
    """Return matrices [batch, n, n], names and a title."""
    if isinstance(effects, PairEffects):
        return as_array(effects.matrix, "effects"), effects.names, f"pair effects ({effects.kind})"
    if isinstance(effects, IntegratedHessians):
        return as_array(effects.matrix, "effects"), effects.names, "integrated Hessians"
    if isinstance(effects, InteractionIndices):
        label = f"{effects.index.replace('_', '-')} interaction index"
        return as_array(effects.matrix(), "effects"), effects.names, label
    if isinstance(effects, HarsanyiDividends):
        return as_array(effects.pair_matrix(), "effects"), effects.names, "Harsanyi dividends"
    table = as_array(effects, "effects")
    table = table[None] if table.ndim == 2 else table
    if table.ndim != 3 or table.shape[1] != table.shape[2]:
        raise ValueError(f"effects must have shape [batch, n, n], got {describe(effects)}")
    return table, [f"x{player}" for player in range(table.shape[1])], "effects"
