"""Where the words and sentences of a text begin and end, in characters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from pyxai._checks import describe

__all__ = ["UNITS", "Span", "sentence_spans", "spans_of", "word_spans"]

UNITS = ("token", "word", "sentence")

Span = tuple[int, int]

# Inside a word they are part of it: apostrophes and hyphens.
_APOSTROPHES = "'\u2019\u2010\u2011-"
_ZERO_WIDTH_JOINER = "\u200d"
# Stops of scripts with spaces end a sentence before a space; full-width ones do so anywhere, both
# with the quotes and brackets that close behind them. An empty line is an end, too.
_STOP = re.compile(
    r"(?:[.!?\u2026]+[\"'\u201d\u2019\u00bb)\]]*(?=\s|$))"
    r"|(?:[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*)"
    r"|(?:\n\s*\n)"
)
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\"'\u201c\u2018])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+|"
    r"(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|cf|al|fig|eq|no|vol|approx|inc|ltd|bzw|ca|nr))$",
    re.IGNORECASE,
)


def word_spans(text: str) -> list[Span]:
    """Return the spans of the words of a text, and of what stands between them but spaces.

    A word is a run of letters, digits and their accents; apostrophes and hyphens inside it belong
    to it, and so do point and comma between digits. Signs are words of their own, equal ones in a
    row together (``...``), an emoji with all that modifies it. Ideographs stand alone; other
    scripts without spaces are not divided.
    """
    spans: list[Span] = []
    start = 0
    for at, char in enumerate(text):
        if char.isspace():
            continue
        if not (spans and spans[-1][1] == at and _continues(text, start, at)):
            spans.append((at, at))
            start = at
        spans[-1] = (start, at + 1)
    return spans


def sentence_spans(text: str) -> list[Span]:
    """Return the spans of the sentences of a text, without the spaces around them.

    A sentence ends behind ``.``, ``!``, ``?`` or ``…`` and closing quotes before a space, behind
    their forms in scripts without spaces, and at an empty line. It does not end behind an
    initial or a usual abbreviation, nor at a full stop that a small letter follows.
    """
    ends = [match.end() for match in _STOP.finditer(text) if _ends(text, match)]
    edges = [0, *ends, len(text)]
    found = [_stripped(text, edge, end) for edge, end in pairwise(edges)]
    return [(start, end) for start, end in found if start < end]


def spans_of(text: str, unit: Any) -> list[Span]:
    """Return the spans of the units of a text that are larger than its tokens.

    Parameters
    ----------
    text : str
    unit : str, re.Pattern, callable, or sequence of (int, int)
        ``"word"`` or ``"sentence"``; an expression whose matches are the units; a function from
        the text to spans; or the spans, start and end in characters.

    Returns
    -------
    list of (int, int)
        In the order of the text; no two overlap and none is empty.

    Raises
    ------
    ValueError
        If ``unit`` is a name that is not known, or spans overlap or lie outside the text.
    TypeError
        If it is none of these.
    """
    named: dict[str, Callable[[str], list[Span]]] = {"word": word_spans, "sentence": sentence_spans}
    if isinstance(unit, str):
        if unit not in named:
            known = ", ".join(map(repr, UNITS))
            close = difflib.get_close_matches(unit, UNITS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"unit must be one of {known}, an expression, a function or a list of spans, "
                f"got {unit!r}{hint}"
            )
        return named[unit](text)
    if isinstance(unit, re.Pattern):
        return [match.span() for match in unit.finditer(text) if match.end() > match.start()]
    return _checked(text, unit(text) if callable(unit) else unit)


def _continues(text: str, start: int, at: int) -> bool:
    """Tell whether a character belongs to the word that ends before it."""
    char, last = text[at], text[at - 1]
    if last == _ZERO_WIDTH_JOINER or _modifies(char):
        return True
    if _is_letter(char) and not _is_ideograph(char):
        if last in _APOSTROPHES or last in ".,":
            return _joins(text, start, at - 1)
        return _is_letter(_base(text, at - 1)) and not _is_ideograph(_base(text, at - 1))
    if _is_flag(char):  # two letters make a flag
        return _is_flag(last) and (at - start) % 2 == 1
    if char in _APOSTROPHES or char in ".,":
        return _joins(text, start, at) or last == char
    return last == char and not _is_letter(char)


def _joins(text: str, start: int, at: int) -> bool:
    """Tell whether a sign stands inside a word, or inside a number."""
    if not start < at < len(text) - 1:
        return False
    before, after = _base(text, at - 1), text[at + 1]
    if text[at] in ".,":
        return before.isdigit() and after.isdigit()
    return all(_is_letter(each) and not _is_ideograph(each) for each in (before, after))


def _base(text: str, at: int) -> str:
    """Return the character that modifiers up to here belong to."""
    while at and _modifies(text[at]):
        at -= 1
    return text[at]


def _modifies(char: str) -> bool:
    """Tell whether a character changes the one before: an accent, a joiner, a tone of skin."""
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf") or "🏻" <= char <= "🏿"


def _is_letter(char: str) -> bool:
    return char.isalnum() or char == "_"


def _is_ideograph(char: str) -> bool:
    return unicodedata.name(char, "").startswith("CJK ")


def _is_flag(char: str) -> bool:
    return "🇦" <= char <= "🇿"


def _ends(text: str, stop: re.Match[str]) -> bool:
    """Tell whether a stop ends a sentence."""
    if stop[0][0] not in ".\u2026":
        return True
    following = text[stop.end() :].lstrip()[:1]
    before = text[max(0, stop.start() - 24) : stop.start()]
    return not (following.islower() or (stop[0] == "." and _ABBREVIATED.search(before)))


def _stripped(text: str, start: int, end: int) -> Span:
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return start, max(start, end - (len(inner) - len(inner.rstrip())))


def _checked(text: str, spans: Any) -> list[Span]:
    """Return spans as a user gives them, in order."""
    if isinstance(spans, (str, bytes)) or not isinstance(spans, Iterable):
        raise TypeError(
            "unit must be a name, an expression, a function or a list of spans, "
            f"got {describe(spans)}"
        )
    found: list[Span] = []
    for each in spans:
        pair = tuple(each) if isinstance(each, Iterable) and not isinstance(each, str) else ()
        if len(pair) != 2 or not all(type(edge) is int for edge in pair):
            raise TypeError(f"unit must hold pairs of start and end, got {describe(each)}")
        if not 0 <= pair[0] < pair[1] <= len(text):
            raise ValueError(
                f"unit must hold spans within the {len(text)} characters of the text, got {pair}"
            )
        found.append((pair[0], pair[1]))
    found.sort()
    for first, second in pairwise(found):
        if second[0] < first[1]:
            raise ValueError(f"unit must hold spans that do not overlap, got {first} and {second}")
    return found
