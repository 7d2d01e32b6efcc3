"""What a language model writes behind a prompt: given, or the most likely token each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.prompts import Prompt
from pyxai.adapters.language.reader import Reader
from pyxai.adapters.units.tokens import Tokens
from pyxai.runner import EveryOutput, Runner

__all__ = [
    "Continuation",
    "NextToken",
    "check_ids",
    "check_positions",
    "greedy_continuation",
    "read_continuation",
]


@dataclass(frozen=True)
class Continuation:
    """Tokens that follow a prompt."""

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    text: str


def read_continuation(reader: Reader, prompt: Prompt, continuation: Any) -> Continuation:
    """Return the tokens of a continuation.

    Parameters
    ----------
    reader : Reader
    prompt : Prompt
    continuation : str, or sequence or Tensor of int, shape [tokens]
        The text behind the prompt, with the space before it if there is one; or ids.

    Raises
    ------
    ValueError
        If it is empty, or the tokenizer reads its start as part of the prompt's last token.
    TypeError
        If it is neither text nor ids.
    """
    if not isinstance(continuation, str):
        return _labelled(reader, _checked_ids(continuation))
    if not continuation:
        raise ValueError("continuation must have at least one token, got an empty text")
    text = prompt.tokens.text + continuation
    joint = reader.read(text)
    length = len(prompt.tokens)
    if joint.ids[:length] != prompt.tokens.ids:
        raise ValueError(_merged(prompt.tokens, joint, continuation))
    stop = len(joint)
    if reader.special:  # one that ends the text may have been added
        stop = max(at for at, span in enumerate(joint.spans) if span is not None) + 1
    if stop <= length:
        raise ValueError(
            f"continuation must have at least one token, got none for {continuation!r} behind the "
            "prompt"
        )
    return _labelled(reader, list(joint.ids[length:stop]), continuation)


def greedy_continuation(
    reader: Reader, model: CausalModel, prompt: Prompt, max_new_tokens: int
) -> Continuation:
    """Let the model write: the most likely token each time, up to its end-of-text token.

    Raises
    ------
    ValueError
        If it ends at once.
    """
    ends = _end_ids(reader, model)
    runner = Runner(NextToken(model), target=EveryOutput())
    ids, written = list(prompt.tokens.ids), list[int]()
    while len(written) < max_new_tokens:
        row = torch.tensor([ids], device=model.device)
        best = int(runner.outputs((row,))[0].argmax())
        if best in ends:
            break
        ids.append(best)
        written.append(best)
    if not written:
        raise ValueError(
            "continuation must be given where the model writes its end-of-text token first, "
            "got None"
        )
    return _labelled(reader, written)


def check_ids(model: CausalModel, ids: Sequence[int], argument: str | None = None) -> None:
    """Raise unless the embedding has a vector for every id, of the tokenizer or of an argument."""
    limit = model.n_ids
    wrong = [each for each in ids if each < 0 or (limit is not None and each >= limit)]
    if not wrong:
        return
    holder = "" if limit is None else f" for an embedding of {limit} tokens"
    what = "tokenizer and model must have one vocabulary"
    if argument is not None:
        what = f"{argument} must hold ids of tokens that the model has"
    raise ValueError(f"{what}, got the id {wrong[0]}{holder}")


def check_positions(model: CausalModel, n_prompt: int, n_written: int, argument: str) -> None:
    """Raise if prompt and continuation are longer than the model takes."""
    limit = model.n_positions
    # The last token is only predicted.
    if limit is not None and n_prompt + n_written - 1 > limit:
        raise ValueError(
            f"prompt and {argument} must have at most {limit + 1} tokens together, as the model "
            f"has {limit} positions, got {n_prompt} and {n_written}"
        )


class NextToken:
    """The model as a function of ids that returns the logits of the next one."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self._model.forward_func, (NextToken,)

    def __call__(self, ids: Tensor) -> Tensor:
        """Return logits, [rows, vocabulary]."""
        return self._model.logits(1, input_ids=ids)[:, -1]


def _end_ids(reader: Reader, model: CausalModel) -> set[int]:
    """Return the ids that end a text, as the model says, else the tokenizer."""
    holders = [getattr(model.forward_func, name, None) for name in ("generation_config", "config")]
    for holder in (*holders, reader.tokenizer):
        found = getattr(holder, "eos_token_id", None)
        if isinstance(found, int):
            return {found}
        if isinstance(found, Iterable):
            return {int(each) for each in found}
    return set()


def _checked_ids(ids: Any) -> list[int]:
    if isinstance(ids, Tensor):
        if ids.dim() != 1 or ids.is_floating_point() or ids.dtype == torch.bool:
            raise ValueError(f"continuation must be ids of shape [tokens], got {describe(ids)}")
        ids = ids.tolist()
    if not isinstance(ids, Sequence):
        raise TypeError(f"continuation must be text or ids of tokens, got {describe(ids)}")
    for each in ids:
        if type(each) is not int:
            raise TypeError(
                f"continuation must be text or ids of tokens, got {describe(each)} among them"
            )
    if not ids:
        raise ValueError("continuation must have at least one token, got no id")
    return list(ids)


def _labelled(reader: Reader, ids: list[int], text: str | None = None) -> Continuation:
    labels = tuple(reader.label_of(each) for each in ids)
    return Continuation(tuple(ids), labels, reader.text_of(ids) if text is None else text)


def _merged(prompt: Tokens, joint: Tokens, continuation: str) -> str:
    """Say which tokens of the prompt the continuation changes."""
    pairs = zip(prompt.ids, joint.ids, strict=False)
    at = next((n for n, (own, other) in enumerate(pairs) if own != other), len(joint.ids))
    edge = len(prompt.text)
    stop = next(
        (n for n in range(at, len(joint)) if (joint.spans[n] or (edge, 0))[0] >= edge), None
    )
    apart, together = list(prompt.pieces[at:]), list(joint.pieces[at:stop])
    advice = "give it as ids, or end the prompt at a border of tokens"
    if prompt.text[-1:].isspace():
        advice = "the space belongs to the token behind it: begin the continuation with it"
    elif not continuation[:1].isspace():
        advice = "begin it with a space if a new word begins, or give it as ids"
    return (
        f"continuation must begin at a border of tokens, got {continuation!r} behind a prompt that "
        f"ends in the piece(s) {apart}, which together are read as {together}; {advice}"
    )
