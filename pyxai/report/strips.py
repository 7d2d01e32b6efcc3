"""Where values lie: one line for each of several rows, on one scale, as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from pyxai.report import render
from pyxai.report.numbers import format_number

__all__ = ["Axis", "Strip", "axis_of", "multiples", "strips"]

_DECADES = 8.0  # of a logarithmic scale at most, from its largest value down


class Strip(NamedTuple):
    """A row: what lies where, in the units of the axis."""

    name: str
    value: str
    """What stands beside it, in words."""
    line: tuple[float, float] | None = None
    """Ends of the thin line."""
    box: tuple[float, float] | None = None
    """Ends of the box."""
    tick: float | None = None


class Axis(NamedTuple):
    """A scale; of a logarithmic one the ends are positive, and less than the lower is there."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value is, in percent of the width; what is beyond is at the end."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high = math.log(low), math.log(high)
            at = math.log(max(value, self.low))
        return round(100 * min(1.0, max(0.0, (at - low) / (high - low))), 2) if high > low else 50.0


def axis_of(values: Sequence[float], *, log: bool = False) -> Axis:
    """Return the scale that holds values; of a logarithmic one those that are positive."""
    good = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not good:
        return Axis(1.0, 10.0, True) if log else Axis(0.0, 1.0)
    low, high = min(good), max(good)
    if log:
        low = max(low, high / 10**_DECADES)
        return Axis(low, high if high > low else 10 * low, True)
    if high <= low:
        low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
    return Axis(low, high)


def strips(rows: Sequence[Strip], axis: Axis, *, compact: bool = False) -> Markup:
    """Return rows on one scale.

    Parameters
    ----------
    rows : sequence of Strip
        From top to bottom.
    axis : Axis
        The scale of all.
    compact : bool
        Whether it is one of several small ones, whose axis is said elsewhere.

    Returns
    -------
    Markup
        For `Section.html`.
    """

    def span(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is None:
            return None
        left, right = map(axis.place, ends)
        return left, round(right - left, 2)

    placed = [
        {
            "name": row.name,
            "value": row.value,
            "line": span(row.line),
            "box": span(row.box),
            "tick": None if row.tick is None else axis.place(row.tick),
        }
        for row in rows
    ]
    zero = axis.place(0.0) if not axis.log and axis.low < 0 < axis.high else None
    words = {
        "zero": zero,
        "low": format_number(axis.low),
        "high": format_number(axis.high) + (" (logarithmic)" if axis.log else ""),
    }
    return render.block("strips", rows=placed, axis=words, compact=compact)


def multiples(parts: Sequence[tuple[str, Markup]]) -> Markup:
    """Return small parts with titles, as many beside each other as the screen holds."""
    return render.block("multiples", parts=parts)
