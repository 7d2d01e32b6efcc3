"""Where the pieces of a tokenizer that knows no offsets stand in its text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from pyxai.adapters.units.spans import Span

__all__ = ["align_pieces"]

# What tokenizers write for the space before a piece, or to say that there is none.
_MARKS = re.compile(r"^(?:##|[▁ĠĊ]+)|(?:</w>|@@)$")
_VISIBLE = re.compile(r"\S+")


def align_pieces(text: str, pieces: Sequence[str | None]) -> list[Span | None]:
    """Return the span of each piece, found from left to right.

    Parameters
    ----------
    text : str
    pieces : sequence of str or None
        As the tokenizer writes them, with the marks of the usual kinds (``##``, ``▁``, ``Ġ``,
        ``</w>``, ``@@``); case and accents may differ from the text. ``None``: a special token.

    Returns
    -------
    list of (int, int) or None
        In characters. Pieces that cannot be found, such as ``[UNK]`` or single bytes, share what
        lies between their neighbours. ``None`` for special tokens.
    """
    letters, places = _plain(text)
    cursor = 0
    found: list[tuple[int, int] | None] = [None] * len(pieces)
    skipped = False  # a piece was not found: the next one may stand further on
    for number, piece in enumerate(pieces):
        wanted = "" if piece is None else _plain(_MARKS.sub("", piece))[0]
        if not wanted:
            continue
        here = letters.find(wanted, cursor)
        near = here >= 0 and not letters[cursor:here].strip()
        if here < 0 or not (near or skipped):
            skipped = True
            continue
        found[number] = (here, here + len(wanted))
        cursor, skipped = here + len(wanted), False
    return _in_text(found, pieces, places, text)


def _plain(text: str) -> tuple[str, list[int]]:
    """Return a text without case and accents, and where each of its characters came from."""
    letters: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        for each in unicodedata.normalize("NFD", char.lower()):
            if unicodedata.category(each) != "Mn":
                letters.append(each)
                places.append(at)
    return "".join(letters), places


def _in_text(
    found: list[tuple[int, int] | None],
    pieces: Sequence[str | None],
    places: list[int],
    text: str,
) -> list[Span | None]:
    """Return spans in the text itself; what was not found lies between its neighbours."""
    spans: list[Span | None] = [
        None if each is None else (places[each[0]], places[each[1] - 1] + 1) for each in found
    ]
    spaces = [piece is not None and not _MARKS.sub("", piece) for piece in pieces]
    texts = [at for at, piece in enumerate(pieces) if piece is not None and not spaces[at]]
    start = 0
    for known, run in groupby(texts, lambda number: found[number] is not None):
        numbers = list(run)
        if known:
            start = max(span[1] for number in numbers if (span := spans[number]) is not None)
            continue
        later = [each for each in spans[numbers[-1] + 1 :] if each is not None]
        end = later[0][0] if later else len(text)
        between = [match.span() for match in _VISIBLE.finditer(text, start, end)]
        if len(between) != len(numbers):  # one each, or all of it for all of them
            between = [(between[0][0], between[-1][1]) if between else (end, end)] * len(numbers)
        for number, span in zip(numbers, between, strict=True):
            spans[number] = span
    end = 0
    for number, own in enumerate(spans):
        spans[number] = (end, end) if spaces[number] else own
        end = own[1] if own is not None else end
    return spans
