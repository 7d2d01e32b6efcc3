"""A tokenizer as prompts and continuations need it, of transformers' form or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyxai._checks import describe
from pyxai.adapters.units.tokens import Tokens, read_tokens

__all__ = ["Reader"]


@dataclass(frozen=True)
class Reader:
    """From text to tokens and back.

    Attributes
    ----------
    tokenizer : callable
        From a text to ids, as `pyxai.adapters.units.tokens.read_tokens` takes it.
    pieces : callable or None
        From ids to pieces, for tokenizers that have no ``convert_ids_to_tokens``.
    special : bool
        Whether the tokenizer adds its special tokens.
    """

    tokenizer: Any
    pieces: Callable[[list[int]], Sequence[str]] | None = None
    special: bool = True

    def __post_init__(self) -> None:
        """Raise TypeError if the tokenizer cannot be called."""
        if not callable(self.tokenizer):
            raise TypeError(
                f"tokenizer must be callable with a text, got {describe(self.tokenizer)}"
            )

    def read(self, text: str) -> Tokens:
        """Tokenize a text."""
        return read_tokens(self.tokenizer, text, pieces=self.pieces, special=self.special)

    def id_of(self, name: str) -> int | None:
        """Return the id of a special token, ``"mask"`` say, if there is one."""
        found = getattr(self.tokenizer, f"{name}_token_id", None)
        return None if found is None else int(found)

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of all special tokens."""
        return frozenset(getattr(self.tokenizer, "all_special_ids", ()))

    def text_of(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, or their pieces where the tokenizer cannot say it."""
        decode = getattr(self.tokenizer, "decode", None)
        if decode is None:
            return " ".join(self._pieces_of(ids))
        return str(decode(list(ids), clean_up_tokenization_spaces=False))

    def label_of(self, number: int) -> str:
        """Return the text of a token; the piece where that is no text of its own."""
        text = self.text_of([number])
        if text and "\ufffd" not in text:  # part of a character
            return text.strip() or text
        return self._pieces_of([number])[0]

    def _pieces_of(self, ids: Sequence[int]) -> list[str]:
        pieces = self.pieces or getattr(self.tokenizer, "convert_ids_to_tokens", None)
        return list(map(str, ids if pieces is None else pieces(list(ids))))
