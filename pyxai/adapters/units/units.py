"""Units of a text and the tokens that they own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyxai._checks import describe
from pyxai.adapters.units.spans import Span, spans_of

__all__ = ["Unit", "Units", "text_units"]


@dataclass(frozen=True)
class Unit:
    """A part of a text that is present or absent as a whole.

    Attributes
    ----------
    label : str
        The text that it covers, without spaces around it.
    span : (int, int)
        Its start and end in the text, in characters.
    tokens : tuple of int
        Positions of the tokens that it owns, ascending.
    """

    label: str
    span: Span
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Units:
    """The units of a text, in its order.

    Attributes
    ----------
    text : str
        The whole text.
    kind : str
        ``"token"``, ``"word"``, ``"sentence"`` or ``"own"``.
    units : tuple of Unit
    n_tokens : int
        How many tokens the text has, those of no unit included.
    """

    text: str
    kind: str
    units: tuple[Unit, ...]
    n_tokens: int

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self.units)

    def __iter__(self) -> Iterator[Unit]:
        """Yield the units."""
        return iter(self.units)

    def __getitem__(self, index: int) -> Unit:
        """Return one unit."""
        return self.units[index]

    @property
    def labels(self) -> list[str]:
        """The text of each unit."""
        return [unit.label for unit in self.units]

    @property
    def owners(self) -> list[int]:
        """The unit of each token, -1 where it belongs to none."""
        owners = [-1] * self.n_tokens
        for number, unit in enumerate(self.units):
            for token in unit.tokens:
                owners[token] = number
        return owners

    @property
    def others(self) -> list[int]:
        """Positions of tokens that belong to no unit: special ones, and fixed parts."""
        return [token for token, owner in enumerate(self.owners) if owner < 0]


def text_units(
    text: str,
    spans: Sequence[Span | None],
    unit: Any = "word",
    *,
    pieces: Sequence[str] | None = None,
    fixed: Sequence[Span] = (),
) -> Units:
    """Group the tokens of a text to units.

    A token belongs to the unit whose text it covers; units that share a token are one, as neither
    can go without the other. Tokens of spaces alone belong to the unit behind them, at the end of
    the text to the one before.

    Parameters
    ----------
    text : str
    spans : sequence of (int, int) or None
        The text that each token covers, in characters; ``None`` for special tokens.
    unit : str, re.Pattern, callable, or sequence of (int, int)
        ``"token"``, ``"word"``, ``"sentence"``; an expression whose matches are the units; a
        function from the text to spans; or spans. Text outside the spans belongs to no unit.
    pieces : sequence of str, optional
        What the tokenizer writes for each token: the label where a token covers no text.
    fixed : sequence of (int, int)
        Parts of the text that are no players, as those of a template.

    Returns
    -------
    Units
        Those that own at least one token.

    Raises
    ------
    ValueError
        If the text is empty, the unit is not known, spans do not fit the text, or no unit owns a
        token.
    TypeError
        If an argument is not of its type.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {describe(text)}")
    if not text.strip():
        raise ValueError(f"text must have a character that is no space, got {text!r}")
    _check_spans(text, spans)
    free = [True] * len(text)
    for start, end in _fixed_spans(text, fixed):
        free[start:end] = [False] * (end - start)
    shown = [_shown(text, span, free) for span in spans]
    if isinstance(unit, str) and unit == "token":
        found = _tokens(text, spans, shown, pieces)
    else:
        found = _grouped(text, spans, shown, [*_free_parts(text, spans_of(text, unit), free)])
    kind = unit if isinstance(unit, str) else "own"
    if not found:
        own = "span" if kind == "own" else kind
        raise ValueError(
            f"unit must have at least one {own} in the text, outside of fixed parts and special "
            f"tokens, got none in {text!r}"
        )
    return Units(text, kind, tuple(found), len(spans))


def _check_spans(text: str, spans: Sequence[Span | None]) -> None:
    for span in spans:
        if span is not None and not 0 <= span[0] <= span[1] <= len(text):
            raise ValueError(
                f"spans must lie within the {len(text)} characters of the text, got {span}"
            )


def _fixed_spans(text: str, fixed: Sequence[Span]) -> Sequence[Span]:
    for start, end in fixed:
        if not 0 <= start <= end <= len(text):
            raise ValueError(
                f"fixed must hold spans within the {len(text)} characters of the text, "
                f"got {(start, end)}"
            )
    return fixed


def _shown(text: str, span: Span | None, free: list[bool]) -> list[int] | None:
    """Return the places of what a token shows; ``None`` if it is special or fixed."""
    if span is None:
        return None
    if span[0] < span[1] and not any(free[span[0] : span[1]]):
        return None
    return [at for at in range(*span) if not text[at].isspace() and free[at]]


def _free_parts(text: str, spans: Sequence[Span], free: list[bool]) -> Iterator[Span]:
    """Yield spans without fixed parts and spaces at their ends."""
    for start, end in spans:
        inner = [at for at in range(start, end) if free[at] and not text[at].isspace()]
        if inner:
            yield inner[0], inner[-1] + 1


def _tokens(
    text: str,
    spans: Sequence[Span | None],
    shown: Sequence[list[int] | None],
    pieces: Sequence[str] | None,
) -> list[Unit]:
    """Return each token as a unit."""
    found = []
    for token, (span, places) in enumerate(zip(spans, shown, strict=True)):
        if span is None or places is None:
            continue
        if places:
            start, end = places[0], places[-1] + 1
            found.append(Unit(text[start:end], (start, end), (token,)))
            continue
        label = "".join("␣" if char == " " else repr(char)[1:-1] for char in text[slice(*span)])
        if not label:
            label = pieces[token] if pieces is not None else "␣"
        found.append(Unit(label, span, (token,)))
    return found


def _grouped(
    text: str,
    spans: Sequence[Span | None],
    shown: Sequence[list[int] | None],
    parts: list[Span],
) -> list[Unit]:
    """Return the parts of a text with the tokens that cover them."""
    unit_at = [-1] * len(text)
    for number, (start, end) in enumerate(parts):
        unit_at[start:end] = [number] * (end - start)
    joined = list(range(len(parts)))  # each unit's first of those that it is one with

    def first(number: int) -> int:
        while joined[number] != number:
            number = joined[number]
        return number

    owners: list[int | None] = [None] * len(spans)  # None: to be decided by neighbours
    for token, places in enumerate(shown):
        touched = sorted({unit_at[at] for at in places or () if unit_at[at] >= 0})
        if touched:
            for other in touched[1:]:
                joined[max(first(touched[0]), first(other))] = min(first(touched[0]), first(other))
            owners[token] = touched[0]
        elif places is None or places:
            owners[token] = -1  # special, fixed, or outside of all spans
    _give_spaces(spans, owners)
    tokens: dict[int, list[int]] = {}
    for token, owner in enumerate(owners):
        if owner is not None and owner >= 0:
            tokens.setdefault(first(owner), []).append(token)
    found = []
    for number in sorted(tokens):
        own = [parts[other] for other in range(len(parts)) if first(other) == number]
        span = own[0][0], own[-1][1]
        found.append(Unit(text[slice(*span)], span, tuple(tokens[number])))
    return found


def _give_spaces(spans: Sequence[Span | None], owners: list[int | None]) -> None:
    """Give tokens that show nothing to the next token's unit, or to the last one's."""
    texts = [token for token, span in enumerate(spans) if span is not None]
    for run in (reversed(texts), texts):
        nearest: int | None = None
        for token in run:
            if owners[token] is None:
                owners[token] = nearest
            else:
                nearest = owners[token]
