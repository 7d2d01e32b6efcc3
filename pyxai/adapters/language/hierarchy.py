"""A hierarchy of the units of a text, for values that are shared out level by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyxai.adapters.units.spans import Span, sentence_spans, word_spans
from pyxai.adapters.units.units import Units

__all__ = ["hierarchy_of"]

_MOST = 4  # children of a node: each doubles what the node costs


def hierarchy_of(units: Units) -> list[Any]:
    """Return sentences of words of units as nested lists of unit numbers.

    Where a level has more than four in one, halves are put in between.
    """
    levels = [sentence_spans(units.text), word_spans(units.text)]
    return _halved(_grouped(list(range(len(units))), units, levels))


def _grouped(numbers: list[int], units: Units, levels: Sequence[Sequence[Span]]) -> list[Any]:
    """Return units in lists by the spans that they begin in; a list of one is that unit."""
    if not levels:
        return list(numbers)
    groups: dict[int, list[int]] = {}
    for number in numbers:
        start = units[number].span[0]
        at = next((n for n, span in enumerate(levels[0]) if span[0] <= start < span[1]), -1)
        groups.setdefault(at, []).append(number)
    found = [_grouped(members, units, levels[1:]) for members in groups.values()]
    found = [group[0] if len(group) == 1 else _halved(group) for group in found]
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _halved(nodes: list[Any]) -> list[Any]:
    if len(nodes) <= _MOST:
        return nodes
    middle = len(nodes) // 2
    return [_halved(nodes[:middle]), _halved(nodes[middle:])]
