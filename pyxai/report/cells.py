"""What stands in a cell of a table, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyxai.report.numbers import format_number

__all__ = ["Bar", "Cell", "Shade", "Signed", "cell_of", "head_of"]

_LONG = 28  # characters from which on a text is broken into lines


@dataclass(frozen=True)
class Bar:
    """A table cell with a thin bar below its text.

    Parameters
    ----------
    text : str
        What the cell says.
    share : float
        Length of the bar as a share of the cell, 0 to 1; other values are clipped.
    """

    text: str
    share: float


@dataclass(frozen=True)
class Signed:
    """A table cell with a bar to either side of its middle: right for, left against.

    Parameters
    ----------
    text : str
        What the cell says.
    share : float
        Length of the bar as a share of half the cell, -1 to 1; other values are clipped.
    """

    text: str
    share: float


@dataclass(frozen=True)
class Shade:
    """A table cell whose ground is the darker, the larger its share.

    Parameters
    ----------
    text : str
        What the cell says.
    share : float
        0 to 1; other values are clipped.
    """

    text: str
    share: float


class Cell(NamedTuple):
    """A cell as the template takes it."""

    text: str
    kind: str = ""
    bar: float | None = None
    """Length in percent of the cell."""
    signed: float | None = None
    """Length in percent of the cell, to the right of its middle or to the left."""
    shade: float | None = None
    """Strength of the ground in percent of the accent."""


def cell_of(value: object) -> Cell:
    """Return how a value is shown: numbers to the right, with three significant digits."""
    if value is None:
        return Cell("")
    if isinstance(value, Bar):
        return Cell(value.text, "number", bar=100 * min(1.0, max(0.0, value.share)))
    if isinstance(value, Signed):
        return Cell(value.text, "number", signed=50 * min(1.0, max(-1.0, value.share)))
    if isinstance(value, Shade):
        return Cell(value.text, "shade", shade=50 * min(1.0, max(0.0, value.share)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Cell(format_number(value), "number")
    text = str(value)
    return Cell(text, "words" if len(text) > _LONG else "")


def head_of(name: str, column: list[object]) -> Cell:
    """Return the head of a column, to the right where all below it is."""
    known = [value for value in column if value is not None]
    numeric = all(isinstance(value, (int, float, Bar, Signed, Shade)) for value in known)
    numeric = numeric and bool(known)
    return Cell(name, "number" if numeric else "")
