"""What stands for absent units: a token, or a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_tensor, describe
from pyxai.adapters.text.batches import Batch
from pyxai.attribution.layers.cuts.cut import Cut

__all__ = ["Baseline", "baseline_of", "hides"]

_HIDDEN = "unattended"
_TOKENS = {"mask": "mask_token_id", "pad": "pad_token_id", "unknown": "unk_token_id"}


@dataclass(frozen=True)
class Baseline:
    """What stands for absent units.

    Attributes
    ----------
    given : str or Tensor
        As the user says it.
    token : int or None
        The id of a token that replaces theirs.
    vector : Tensor or None, shape [hidden]
        What replaces their vectors; where neither is given they are hidden from attention.
    """

    given: Any
    token: int | None = None
    vector: Tensor | None = None

    def ids(self, batch: Batch) -> Tensor | None:
        """Return ids with the token in place of all units, int64 [batch, tokens]."""
        if self.token is None:
            return None
        return torch.where(batch.owned, self.token, batch.ids)

    def values(self, batch: Batch, cut: Cut) -> Tensor:
        """Return vectors of tokens where all units are absent, [batch, tokens, ...]."""
        [present] = cut.values
        ids = self.ids(batch)
        if ids is not None:
            return cut.at((ids,))[0]
        if self.vector is None:
            return present
        vector = self.vector.to(present.device, present.dtype)
        if vector.dim() and vector.shape != present.shape[2:]:
            raise ValueError(
                f"baseline must have the shape of a token's vector, {list(present.shape[2:])}, "
                f"got {list(vector.shape)}"
            )
        owned = batch.owned.reshape(*batch.owned.shape, *[1] * (present.dim() - 2))
        return torch.where(owned, vector, present)


def baseline_of(baseline: Any, tokenizer: Any) -> Baseline:
    """Return what a user says, checked.

    Raises
    ------
    ValueError
        If it is not known, or the tokenizer has no such token.
    TypeError
        If it is neither a name nor a tensor of a floating dtype.
    """
    if not isinstance(baseline, (str, Tensor)):
        raise TypeError(
            f"baseline must be one of {_known(tokenizer)} or a vector, got {describe(baseline)}"
        )
    if isinstance(baseline, Tensor):
        vector = check_tensor("baseline", baseline)
        if not vector.is_floating_point():
            raise TypeError(f"baseline must be of a floating dtype, got {vector.dtype}")
        if not bool(vector.isfinite().all()):
            raise ValueError("baseline must be finite, got NaN or infinity")
        return Baseline(baseline, vector=vector.detach())
    if baseline == "zero":
        return Baseline(baseline, vector=torch.zeros(()))
    if baseline == _HIDDEN:
        return Baseline(baseline)
    token = getattr(tokenizer, _TOKENS.get(baseline, ""), None)
    if token is None:
        raise ValueError(_wrong(baseline, tokenizer))
    return Baseline(baseline, token=int(token))


def _known(tokenizer: Any) -> str:
    """List the names of baselines with a tokenizer."""
    own = [name for name, each in _TOKENS.items() if getattr(tokenizer, each, None) is not None]
    return ", ".join(map(repr, (*own, "zero", _HIDDEN)))


def _wrong(baseline: str, tokenizer: Any) -> str:
    why = ""
    if baseline in _TOKENS:
        why = f"; the tokenizer has no {_TOKENS[baseline].removesuffix('_id')}"
    elif baseline in ("remove", "removed"):
        why = f"; {_HIDDEN!r} hides tokens from attention, and leaves the others where they are"
    known = _known(tokenizer)
    return f"baseline must be one of {known} or a vector, got {baseline!r}{why}"


def hides(baseline: Any) -> bool:
    """Tell whether absent tokens are hidden from attention."""
    return isinstance(baseline, str) and baseline == _HIDDEN
