"""Where windows lie along one axis of a map, and how a change spreads along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Frame", "Region", "Span", "Stretch", "union"]

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Span:
    """Windows of one size along an axis, one for each way that patches lie along it.

    Attributes
    ----------
    low, high : int64 [n]
        The first place that changes, and that behind the last.
    length : int
        Places that there are.
    size : int
        Places in each window.
    start : int64 [n]
        First place of each window, which holds all that changes and does not leave the map.
    """

    low: Ints
    high: Ints
    length: int
    size: int
    start: Ints

    @classmethod
    def reaching(cls, low: Ints, high: Ints, length: int) -> Span:
        """Lay windows over what changes; parts of it outside the map are dropped."""
        low = low.clip(0, length)
        high = high.clip(low, length)
        size = max(1, int((high - low).max()))
        return cls(low, high, length, size, np.minimum(low, length - size))

    @property
    def is_whole(self) -> bool:
        """Whether the windows cover the axis."""
        return self.size == self.length

    def slid(self, kernel: int, stride: int, padding: int, dilation: int, length: int) -> Span:
        """Return what an op changes that slides a kernel along the axis."""
        reach = (kernel - 1) * dilation
        low = -((reach - self.low - padding) // stride)  # rounded up
        high = (self.high - 1 + padding) // stride + 1
        return self.reaching(low, high, length)

    def shifted(self, before: int, length: int) -> Span:
        """Return the same places of a map that begins ``before`` places earlier."""
        return self.reaching(self.low + before, self.high + before, length)


def union(spans: Sequence[Span]) -> Span:
    """Return what changes where any of several maps of one length does."""
    first, *others = spans
    low, high = first.low, first.high
    for each in others:
        low, high = np.minimum(low, each.low), np.maximum(high, each.high)
    return Span.reaching(low, high, first.length)


class Frame(NamedTuple):
    """Where windows lie in a map."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Places in each window."""
        return self.rows.size * self.columns.size

    @property
    def is_whole(self) -> bool:
        """Whether the windows are the whole map."""
        return self.rows.is_whole and self.columns.is_whole


class Stretch(NamedTuple):
    """What is read of a map along one axis: ``size`` places from ``start`` on of the padded map."""

    start: Ints  # [n]
    size: int
    before: int = 0
    after: int = 0

    @classmethod
    def of(cls, span: Span) -> Stretch:
        """Read just the windows."""
        return cls(span.start, span.size)

    @classmethod
    def whole(cls, span: Span) -> Stretch:
        """Read all there is."""
        return cls(np.zeros_like(span.start), span.length)

    @classmethod
    def under(
        cls, span: Span, length: int, kernel: int, stride: int, padding: int, dilation: int
    ) -> Stretch:
        """Read what a kernel sees that slides along an axis of some length and gives ``span``."""
        reach = (kernel - 1) * dilation + 1
        after = (span.length - 1) * stride + reach - length - padding
        return cls(span.start * stride, (span.size - 1) * stride + reach, padding, max(0, after))

    def is_window_of(self, span: Span) -> bool:
        """Whether the windows of a map are what is read."""
        same = self.size == span.size and not (self.before or self.after)
        return same and bool((self.start == span.start).all())


class Region(NamedTuple):
    """What is read of the map of a node, around or within its windows."""

    node: Any
    rows: Stretch
    columns: Stretch
    fill: float = 0.0
    """What the map is padded with."""

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Left, right, above, below, as torch counts."""
        return self.columns.before, self.columns.after, self.rows.before, self.rows.after

    @property
    def area(self) -> int:
        """Places that are read for one window."""
        return self.rows.size * self.columns.size

    def is_window_of(self, frame: Frame) -> bool:
        """Whether the windows of the node are what is read, and nothing of its map."""
        return self.rows.is_window_of(frame.rows) and self.columns.is_window_of(frame.columns)
