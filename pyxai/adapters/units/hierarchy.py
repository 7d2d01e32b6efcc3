"""Sentences, their words and the tokens of these, as nested lists of units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pyxai.adapters.units.tokens import Tokens
from pyxai.adapters.units.units import Units

__all__ = ["nested_units"]

_MOST = 2  # children of a node: each more doubles what its coalitions cost


def nested_units(tokens: Tokens, units: Units) -> list[Any]:
    """Return the numbers of a text's units in lists: of sentences, of words, and of halves.

    Where a sentence has more than two words, or a word more than two tokens, halves are put in
    between.
    """
    keys = []
    for kind in ("sentence", "word"):
        owners = tokens.units(kind).owners
        keys.append([owners[unit.tokens[0]] for unit in units])
    found = _nested(list(range(len(units))), keys)
    return found if isinstance(found, list) else [found]


def _nested(numbers: list[int], keys: Sequence[list[int]]) -> Any:
    """Return numbers in the groups that the first keys make, in those of the next, and so on."""
    if not keys:
        return _halved(numbers)
    first, *rest = keys
    groups = [list(group) for _, group in groupby(numbers, first.__getitem__)]
    return _halved([_nested(group, rest) for group in groups])


def _halved(children: list[Any]) -> Any:
    if len(children) == 1:
        return children[0]
    if len(children) <= _MOST:
        return children
    middle = (len(children) + 1) // 2
    return [_halved(children[:middle]), _halved(children[middle:])]
