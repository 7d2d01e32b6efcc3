"""What stands where a unit of the prompt is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.prompts import Prompt
from pyxai.adapters.language.reader import Reader

__all__ = ["Removal", "check_removal", "read_removal"]

_TOKENS = {"mask": "mask", "pad": "pad", "unknown": "unk"}  # transformers' names


@dataclass(frozen=True)
class Removal:
    """A token in place of each that is absent, a vector, or nothing at all.

    ``token`` and ``vector`` are None where tokens are taken away and the prompt closes up.
    """

    name: str
    token: int | None = None
    vector: Tensor | None = None  # [width]

    @property
    def takes_away(self) -> bool:
        """Whether absent tokens are left out of the prompt."""
        return self.token is None and self.vector is None


def read_removal(baseline: Any, reader: Reader, model: CausalModel, *, gradients: bool) -> Removal:
    """Return what the argument ``baseline`` says.

    Parameters
    ----------
    baseline : None, str, int or Tensor
        See `LanguageModel.explain`; None is ``"zero"`` with gradients and ``"remove"`` without.
    reader : Reader
    model : CausalModel
    gradients : bool
        Whether the method walks from the vector of the baseline to that of the token.

    Raises
    ------
    ValueError
        If the tokenizer has no such token, or the method cannot use it.
    TypeError
        If it is of another kind.
    """
    if baseline is None:
        baseline = "zero" if gradients else "remove"
    known = [name for name, own in _TOKENS.items() if reader.id_of(own) is not None]
    also = ["zero"] if gradients else ["remove"]
    if isinstance(baseline, Tensor):
        return Removal("vector", vector=_checked_vector(baseline, model, gradients))
    if isinstance(baseline, int) and not isinstance(baseline, bool):
        return Removal(f"token {baseline}", token=_checked_id(baseline, baseline, model))
    if not isinstance(baseline, str):
        raise TypeError(
            f"baseline must be a name, the id of a token or a vector, got {describe(baseline)}"
        )
    if baseline in also:
        vector = torch.zeros((), dtype=model.dtype, device=model.device)
        return Removal(baseline, vector=vector if gradients else None)
    if baseline not in known:
        raise ValueError(_wrong(baseline, [*known, *also], gradients))
    token = reader.id_of(_TOKENS[baseline])
    assert token is not None
    return Removal(baseline, token=_checked_id(baseline, token, model))


def _checked_id(baseline: Any, token: int, model: CausalModel) -> int:
    limit = model.n_ids
    if token < 0 or (limit is not None and token >= limit):
        below = "" if limit is None else f" below {limit}, which the embedding has"
        given = "" if token == baseline else f", the id {token}"
        raise ValueError(f"baseline must be the id of a token{below}, got {baseline!r}{given}")
    return token


def _wrong(baseline: str, choices: list[str], gradients: bool) -> str:
    why = ""
    if baseline in _TOKENS:
        why = f"; the tokenizer has no {_TOKENS[baseline]}_token"
    elif baseline == "remove" and gradients:
        why = "; a method that asks at the embedding goes from one vector to another"
    elif baseline in ("removed", "unattended"):
        why = "; 'remove' leaves tokens out, for methods that take units away"
    elif baseline == "zero":
        why = "; a method that takes units away gives the model ids, and zero is no id"
    listed = ", ".join(map(repr, choices))
    return f"baseline must be one of {listed}, or the id of a token, got {baseline!r}{why}"


def _checked_vector(vector: Tensor, model: CausalModel, gradients: bool) -> Tensor:
    if not gradients:
        raise ValueError(
            "baseline must be a name or the id of a token for a method that takes units away, "
            f"got {describe(vector)}"
        )
    width = getattr(getattr(model.embedding, "weight", None), "shape", (None,))[-1]
    if vector.dim() != 1 or width not in (None, len(vector)):
        raise ValueError(
            f"baseline must be a vector of the embedding, [{width}], got {list(vector.shape)}"
        )
    return vector.detach().to(model.device, model.dtype)


def check_removal(removal: Removal, model: CausalModel, prompt: Prompt, *, all_go: bool) -> None:
    """Raise if tokens cannot be left out of the prompt.

    Parameters
    ----------
    removal : Removal
    model : CausalModel
    prompt : Prompt
    all_go : bool
        Whether the method asks for the prompt without any of its units.

    Raises
    ------
    ValueError
        If the model has no attention mask, or nothing is left to say what comes first.
    """
    if not removal.takes_away:
        return
    if not model.takes("attention_mask"):
        raise ValueError(
            "baseline must be the id or the name of a token for a model that takes no "
            "attention_mask, got 'remove'"
        )
    if not prompt.units.others and (all_go or len(prompt.units) == 1):
        raise ValueError(
            "baseline must be the id or the name of a token where the method asks for the prompt "
            "without all of its units and no special token or fixed part is left, got 'remove'"
        )
