"""A text and the attributions of its words, as both forms of the picture need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from pyxai._checks import check_number, describe
from pyxai.explanation import Explanation
from pyxai.explanation.balance import balance_of
from pyxai.explanation.groups import flat_attributions, groups_of, is_unsigned, quantity
from pyxai.explanation.names import as_names, names_of_row
from pyxai.explanation.numbers import number, rounding
from pyxai.plot.axes import as_array, one_example, single_output

__all__ = ["MARKED", "Passage", "Piece", "read_passage", "written_missing"]

MARKED = 0.05  # of the scale: smaller values have neither colour nor line, as one would not see it


class Piece(NamedTuple):
    """Words that are shown as one."""

    text: str
    value: float | None
    """Of all of them together, in output units; ``None`` of what stands between words."""


@dataclass(frozen=True)
class Passage:
    """The pieces of a text in their order, and what is said about them."""

    pieces: list[Piece]
    separator: str
    limit: float
    """The absolute value at the ends of the colour scale."""
    unsigned: bool
    quantity: str
    facts: str
    """From base value to output, where it is known."""
    title: str

    def share(self, piece: Piece) -> float:
        """Return the place of a value on the scale from -1 to 1, 0 where there is none to see."""
        if piece.value is None:
            return 0.0
        share = float(np.clip(piece.value / self.limit, -1, 1))
        return share if abs(share) >= MARKED else 0.0  # of a NaN, too

    def written(self, value: float) -> str:
        """Return a value as the picture writes it."""
        return number(value, ".3g" if self.unsigned else "+.3g")


def read_passage(
    explanation: Any,
    words: Sequence[str] | None,
    example: int,
    groups: Sequence[int] | None,
    limit: float | None,
    separator: str | None,
    title: str | None,
) -> Passage:
    """Return words and values of one example; see `text` for the arguments."""
    if isinstance(explanation, tuple) and len(explanation) == 2 and words is None:
        words, explanation = explanation
    facts = what = method = ""
    unsigned = False
    pieces = None
    if isinstance(explanation, Explanation):
        shown = single_output(one_example(explanation, example))
        texts, values, owners = _of_explanation(shown, words)
        facts, what, method = _facts(shown), quantity(shown), shown.method
        unsigned = is_unsigned(shown)
        if words is None and groups is None and separator is None:
            pieces = _as_written(shown.options, values)
    else:
        texts, values = _of_values(explanation, words)
        owners = list(range(len(texts)))
    separator = "" if pieces is not None else _separator(separator, texts)
    glue = separator
    if groups is not None:
        values, owners, glue = _summed(values, groups)
    pieces = pieces or [
        Piece(_joined([texts[at] for at in run], glue), float(values[run[0]]))
        for run in _runs(owners)
    ]
    sizes = [abs(piece.value) for piece in pieces if piece.value is not None]
    largest = max(filter(np.isfinite, sizes), default=0.0)
    if limit is not None and not check_number("limit", limit) > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    return Passage(
        pieces=pieces,
        separator=separator,
        limit=limit or largest or 1.0,
        unsigned=unsigned,
        quantity=what or "attribution",
        facts=facts,
        title=method.replace("_", " ") if title is None else title,
    )


def _of_explanation(
    explanation: Explanation, words: Sequence[str] | None
) -> tuple[list[str], Any, list[int]]:
    """Return a text, a value and the player of each word."""
    values = flat_attributions(explanation)[0].numpy()
    owners: list[int] = groups_of(explanation).of_features.tolist()
    if words is None:
        names = names_of_row(explanation)
        if names is None:
            raise ValueError(
                "words must be given where the explanation has no feature_names, got None"
            )
        return names, values, owners
    texts = _words(words)
    if len(texts) != len(values):  # values of the dimensions of an embedding
        values, owners = _of_tokens(explanation, texts)
    return texts, values, owners


def _as_written(options: dict[str, Any], values: Any) -> list[Piece] | None:
    """Return the pieces of a text that the options have, with all that stands between words.

    Units of one place, such as the bytes of a letter, are one piece.
    """
    text, spans = options.get("text"), options.get("spans")
    if not isinstance(text, str) or not isinstance(spans, (list, tuple)):
        return None
    if len(spans) != len(values):
        return None
    pieces: list[Piece] = []
    at, carried = 0, 0.0  # what units without a place of their own have, for the next one's
    for (start, end), value in zip(spans, values.tolist(), strict=True):
        if end <= max(at, start):
            if pieces:
                pieces[-1] = Piece(pieces[-1].text, (pieces[-1].value or 0.0) + value)
            else:
                carried += value
            continue
        if start > at:
            pieces.append(Piece(text[at:start], None))
        pieces.append(Piece(text[max(at, start) : end], carried + value))
        at, carried = end, 0.0
    return pieces if at == len(text) else [*pieces, Piece(text[at:], None)]


def _of_tokens(explanation: Explanation, texts: list[str]) -> tuple[Any, list[int]]:
    """Add up what stands behind each word, such as the numbers of its embedding; and its player.

    A player that has all numbers of a word counts once.
    """
    found = explanation.attributions
    if isinstance(found, tuple) or found.dim() < 2 or found.shape[1] != len(texts):
        shapes = [list(part.shape[1:]) for part in (found if isinstance(found, tuple) else [found])]
        raise ValueError(
            f"words must be as many as the attributions of an example, of shape "
            f"{', '.join(map(str, shapes))}, got {len(texts)}"
        )
    values = as_array(found[0], "explanation").reshape(len(texts), -1)
    players = groups_of(explanation).of_features.numpy().reshape(values.shape)
    if (players == players[:, :1]).all():
        return values[:, 0], players[:, 0].tolist()
    if len(np.unique(players)) < players.size:  # a player that has several numbers of a word
        again = [
            (players[:, :at] == players[:, at : at + 1]).any(1) for at in range(len(players.T))
        ]
        values = np.where(np.stack(again, 1), 0, values)
    return values.sum(1), list(range(len(texts)))


def _of_values(values: Any, words: Sequence[str] | None) -> tuple[list[str], Any]:
    numbers = isinstance(values, list) and all(isinstance(each, (int, float)) for each in values)
    array = as_array(np.array(values, dtype=np.float64) if numbers else values, "explanation")
    if words is None:
        raise ValueError("words must be given beside a tensor or an array, got None")
    texts = _words(words)
    if array.shape != (len(texts),):
        raise ValueError(
            f"explanation must have one value for each of {len(texts)} words, "
            f"got shape {list(array.shape)}"
        )
    return texts, array


def _words(words: Any) -> list[str]:
    listed = as_names("words", words)
    if listed and isinstance(listed[0], list):
        raise TypeError(f"words must be those of one text, got {describe(words)} of lists")
    return [str(word) for word in listed]


def _separator(separator: str | None, texts: list[str]) -> str:
    """Return what stands between words: nothing where they bring their own space."""
    if separator is None:
        return "" if any(text != text.strip() for text in texts) else " "
    if not isinstance(separator, str):
        raise TypeError(f"separator must be a string, got {describe(separator)}")
    return separator


def _summed(values: Any, groups: Sequence[int]) -> tuple[Any, list[int], str]:
    """Add up the values of each group, whose pieces are joined without a space."""
    owners = np.asarray(groups)
    if owners.shape != values.shape or owners.dtype.kind not in "iu":
        raise ValueError(
            f"groups must be one integer for each of {len(values)} words, got "
            f"{owners.dtype} of shape {list(owners.shape)}"
        )
    _, of = np.unique(owners, return_inverse=True)
    return np.bincount(of, weights=values)[of], of.tolist(), ""


def _runs(owners: list[int]) -> list[list[int]]:
    """Return the positions of neighbours that belong together."""
    return [list(run) for _, run in groupby(range(len(owners)), key=owners.__getitem__)]


def _joined(texts: list[str], glue: str) -> str:
    """Join the words of a piece; a name that all have stands once."""
    return texts[0] if len({*texts}) == 1 else glue.join(texts)


def _facts(explanation: Explanation) -> str:
    """Say how base value, attributions and output go together, as far as it is known."""
    balance = balance_of(explanation)
    if balance is None:
        outputs = explanation.outputs
        if outputs is None or not outputs.numel():
            return ""
        return f"output {float(outputs.reshape(-1)[0]):.3g}"
    base, missing, output = (float(part[0]) for part in balance)
    total = output - base - missing
    parts = f"base value {number(base, '.3g')}, attributions {number(total, '+.3g')}"
    left = written_missing(missing, output, base, rounding(*_tensors(explanation)))
    return f"{parts}{f', missing {left}' if left else ''}, output {number(output, '.3g')}"


def written_missing(missing: float, output: float, base: float, zero: float) -> str:
    """Write what attributions leave unexplained; nothing below a thousandth of the change."""
    seen = max(zero, 1e-3 * abs(output - base))
    return number(missing, "+.3g", seen) if abs(missing) > seen else ""


def _tensors(explanation: Explanation) -> list[Any]:
    found = explanation.attributions
    parts = [*found] if isinstance(found, tuple) else [found]
    return parts if explanation.outputs is None else [*parts, explanation.outputs]
