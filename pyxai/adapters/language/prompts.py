"""A prompt as a tokenizer reads it, and which of its parts are players."""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyxai._checks import describe
from pyxai.adapters.language.reader import Reader
from pyxai.adapters.units.tokens import Tokens
from pyxai.adapters.units.units import Units

__all__ = ["Prompt", "read_prompt"]

Span = tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """The tokens of a prompt, without those that a tokenizer puts behind a text, and its units."""

    tokens: Tokens
    units: Units

    @property
    def first(self) -> int:
        """The position of the first token that belongs to a unit."""
        return min(unit.tokens[0] for unit in self.units)

    @property
    def fixed(self) -> list[str]:
        """What the tokenizer writes for tokens that belong to no unit: special, or fixed parts."""
        return [self.tokens.pieces[token] for token in self.units.others]


def read_prompt(
    reader: Reader,
    prompt: Any,
    unit: Any,
    *,
    values: Mapping[str, str] | None = None,
    spans: Sequence[Span] | None = None,
) -> Prompt:
    """Tokenize a prompt and find its units.

    Parameters
    ----------
    reader : Reader
    prompt : str
        The text, or a template with named slots in braces where ``values`` are given.
    unit
        As `pyxai.adapters.units.units.text_units` takes it, or ``"slot"``.
    values : mapping of str to str, optional
        What stands in the slots; only that has players.
    spans : sequence of (int, int), optional
        Parts of the text, in characters; only they have players.

    Raises
    ------
    ValueError
        If the text is empty, slots and values do not fit, or a token lies on the border of one.
    TypeError
        If an argument is not of its type.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"prompt must be a string, got {describe(prompt)}")
    if values is not None and spans is not None:
        raise ValueError("spans must be None where values are given, got both")
    text, parts = (prompt, None) if values is None else _filled(prompt, values)
    if spans is not None:
        parts = _checked_spans(text, spans)
    if not text.strip():
        raise ValueError(f"prompt must have a character that is no space, got {text!r}")
    tokens = reader.read(text)
    if reader.special:
        tokens = _without_end(tokens)
    fixed = _written_special(reader, tokens)
    if isinstance(unit, str) and unit == "slot":
        if parts is None:
            raise ValueError("unit must be 'slot' only with values or spans, got none of them")
        unit = parts
    if parts is not None:
        fixed += _between(text, parts)
        _check_borders(tokens, parts)
    return Prompt(tokens, tokens.units(unit, fixed=fixed))


def _filled(template: str, values: Any) -> tuple[str, list[Span]]:
    """Return a template with its slots filled, and where their values stand."""
    if not isinstance(values, Mapping):
        raise TypeError(f"values must map the names of slots to text, got {describe(values)}")
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"prompt must be a template with names in braces where values are given, got "
            f"{template!r} ({error}); a brace of the text itself is written twice"
        ) from error
    names = [name for _, name, _, _ in pieces if name is not None]
    if not names or set(names) != set(values):
        raise ValueError(
            f"values must be given for the slots {_listed(names)} of the prompt, got "
            f"{_listed(values)}"
        )
    text, spans = "", []
    for literal, name, _, _ in pieces:
        text += literal
        if name is None:
            continue
        value = values[name]
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"values must be texts that are not empty, got {value!r} for {name!r}")
        spans.append((len(text), len(text) + len(value)))
        text += value
    return text, spans


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in dict.fromkeys(names)) or "none"


def _checked_spans(text: str, spans: Any) -> list[Span]:
    """Return spans in the order of the text."""
    if isinstance(spans, (str, bytes)) or not isinstance(spans, Sequence) or not spans:
        raise TypeError(f"spans must be a list of (start, end), got {describe(spans)}")
    found = []
    for span in spans:
        if not (
            isinstance(span, Sequence) and len(span) == 2 and all(type(e) is int for e in span)
        ):
            raise TypeError(f"spans must be a list of (start, end), got {span!r} in it")
        start, end = span
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            raise ValueError(
                f"spans must hold text within the {len(text)} characters of the prompt, "
                f"got {span!r}"
            )
        found.append((start, end))
    found.sort()
    for left, right in itertools.pairwise(found):
        if right[0] < left[1]:
            raise ValueError(f"spans must not overlap, got {left} and {right}")
    return found


def _between(text: str, parts: Sequence[Span]) -> list[Span]:
    """Return what is outside of some parts."""
    edges = [0, *(edge for part in parts for edge in part), len(text)]
    gaps = zip(edges[0::2], edges[1::2], strict=True)
    return [(start, end) for start, end in gaps if start < end]


def _without_end(tokens: Tokens) -> Tokens:
    """Drop what a tokenizer puts behind a text to say that it ends: a continuation follows."""
    last = max(at for at, span in enumerate(tokens.spans) if span is not None) + 1
    return replace(
        tokens, ids=tokens.ids[:last], spans=tokens.spans[:last], pieces=tokens.pieces[:last]
    )


def _written_special(reader: Reader, tokens: Tokens) -> list[Span]:
    """Return the spans of special tokens that are written in the text, as chat templates do."""
    ids = reader.special_ids
    found = []
    for number, span, piece in zip(tokens.ids, tokens.spans, tokens.pieces, strict=True):
        # The piece must be what is written: an unknown word has a special id too.
        if span is not None and number in ids and tokens.text[slice(*span)].strip() == piece:
            found.append(span)
    return found


def _check_borders(tokens: Tokens, parts: Sequence[Span]) -> None:
    """Raise if a token holds text of a part and fixed text, so that neither can go alone."""
    inside = [False] * len(tokens.text)
    for start, end in parts:
        inside[start:end] = [True] * (end - start)
    for span in tokens.spans:
        seen = [at for at in range(*(span or (0, 0))) if not tokens.text[at].isspace()]
        if len({inside[at] for at in seen}) > 1:
            first, last = seen[0], seen[-1] + 1
            raise ValueError(
                "values and spans must begin and end at borders of tokens, got "
                f"{tokens.text[first:last]!r} as one token, of which "
                f"{''.join(tokens.text[at] for at in seen if not inside[at])!r} is fixed"
            )
