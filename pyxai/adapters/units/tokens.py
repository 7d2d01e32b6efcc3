"""A text as a tokenizer reads it: ids, and the text that each covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyxai._checks import describe
from pyxai.adapters.units.pieces import align_pieces
from pyxai.adapters.units.spans import Span
from pyxai.adapters.units.units import Units, text_units

__all__ = ["Tokens", "read_tokens"]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text.

    Attributes
    ----------
    text : str
    ids : tuple of int
        What the model is given.
    spans : tuple of (int, int) or None
        The text that each token covers, in characters; ``None`` for special tokens.
    pieces : tuple of str
        What the tokenizer writes for each.
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[Span | None, ...]
    pieces: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)

    def units(self, unit: Any = "word", *, fixed: Sequence[Span] = ()) -> Units:
        """Return the units of the text, as `text_units` does.

        Parameters
        ----------
        unit : str, re.Pattern, callable, or sequence of (int, int)
            ``"token"``, ``"word"``, ``"sentence"``, or one's own.
        fixed : sequence of (int, int)
            Parts of the text that are no players.

        Raises
        ------
        ValueError, TypeError
            As `text_units`.
        """
        return text_units(self.text, self.spans, unit, pieces=self.pieces, fixed=fixed)


def read_tokens(
    tokenizer: Any,
    text: str,
    *,
    pieces: Callable[[list[int]], Sequence[str]] | None = None,
    special: bool = True,
) -> Tokens:
    """Tokenize a text and find what each token covers.

    Parameters
    ----------
    tokenizer : transformers tokenizer, or callable
        A fast one says its offsets. Of others, what each token covers is found from its pieces:
        called with the text they return ids, or a mapping that has ``"input_ids"``.
    text : str
    pieces : callable, optional
        From ids to pieces; default: the tokenizer's ``convert_ids_to_tokens``.
    special : bool
        Whether the tokenizer adds its special tokens.

    Returns
    -------
    Tokens

    Raises
    ------
    TypeError
        If text is no string, or the tokenizer is none, or knows neither offsets nor pieces.
    ValueError
        If the text is empty, or the tokenizer makes nothing of it.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {describe(text)}")
    if not text.strip():
        raise ValueError(f"text must have a character that is no space, got {text!r}")
    if not callable(tokenizer):
        raise TypeError(f"tokenizer must be callable with a text, got {describe(tokenizer)}")
    pieces = pieces or getattr(tokenizer, "convert_ids_to_tokens", None)
    if getattr(tokenizer, "is_fast", False):
        found = tokenizer(
            text,
            add_special_tokens=special,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        ids, marks = list(found["input_ids"]), list(found["special_tokens_mask"])
        offsets = [tuple(pair) for pair in found["offset_mapping"]]
        spans = [None if mark else pair for mark, pair in zip(marks, offsets, strict=True)]
        known = any(span is not None and span[0] < span[1] for span in spans)
    else:
        ids, marks = _ids_of(tokenizer, text, special)
        spans, known = [], False
    if all(marks):
        raise ValueError(f"text must give at least one token, got none for {text!r}")
    if pieces is None and not known:
        raise TypeError(
            "pieces must be given, a function from ids to pieces of text, for a tokenizer that "
            "does not say where its tokens stand, as fast ones of transformers do, got None for "
            f"{describe(tokenizer)}"
        )
    written = [""] * len(ids) if pieces is None else [str(each) for each in pieces(ids)]
    if not known:
        shown = [None if mark else each for mark, each in zip(marks, written, strict=True)]
        spans = align_pieces(text, shown)
    return Tokens(text, tuple(ids), tuple(spans), tuple(written))


def _ids_of(tokenizer: Any, text: str, special: bool) -> tuple[list[int], list[int]]:
    """Return ids, and which are special, of a tokenizer that has no offsets."""
    options = {}
    if hasattr(tokenizer, "convert_ids_to_tokens"):  # of transformers
        options = {"add_special_tokens": special}
    found = tokenizer(text, **options)
    listed = found["input_ids"] if hasattr(found, "keys") else found
    listed = listed.tolist() if hasattr(listed, "tolist") else list(listed)
    if len(listed) == 1 and isinstance(listed[0], (list, tuple)):
        listed = list(listed[0])
    if not all(type(each) is int for each in listed):
        raise TypeError(f"tokenizer must return ids of one text, got {describe(found)}")
    special_ids = set(getattr(tokenizer, "all_special_ids", ()))
    unknown = getattr(tokenizer, "unk_token_id", None)  # stands for text, not for itself
    return listed, [int(each in special_ids and each != unknown) for each in listed]
