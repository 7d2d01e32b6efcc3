"""The scores of a continuation's tokens, as the functions that methods explain.

All tokens of a continuation are scored in one pass over prompt and continuation: the output at a
token's place knows nothing of what follows it, so that is what the model would have said there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.continuations import Continuation
from pyxai.adapters.language.prefix import Prefix
from pyxai.adapters.language.prompts import Prompt
from pyxai.adapters.language.removal import Removal

__all__ = ["OUTPUTS", "EmbeddingScores", "UnitScores", "score_tokens"]

OUTPUTS = ("log_probability", "logit", "probability")


def score_tokens(logits: Tensor, ids: Tensor, output: str) -> Tensor:
    """Return the score of each token of a continuation, and of the whole of it.

    Parameters
    ----------
    logits : Tensor, shape [rows, tokens, vocabulary]
    ids : Tensor, shape [tokens]
        int64.
    output : str
        ``"logit"``, ``"log_probability"`` or ``"probability"``.

    Returns
    -------
    Tensor, shape [rows, tokens + 1]
        The last column is the sum of the others, and the product for probabilities.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    index = ids.to(logits.device).expand(logits.shape[0], -1)[..., None]
    scores = logits.gather(2, index)[..., 0]
    if output != "logit":
        scores = scores - logits.logsumexp(2)
    scores = torch.cat([scores, scores.sum(1, keepdim=True)], 1)
    return scores.exp() if output == "probability" else scores


class UnitScores:
    """Scores as a function of which units of the prompt are present.

    Parameters
    ----------
    model : CausalModel
    prompt : Prompt
    continuation : Continuation
    removal : Removal
        With a token or nothing in place of those that are absent.
    output : str
        As of `score_tokens`.
    prefix : Prefix, optional
        The start of the prompt, which has no unit, as the model keeps it.
    """

    def __init__(
        self,
        model: CausalModel,
        prompt: Prompt,
        continuation: Continuation,
        removal: Removal,
        output: str,
        prefix: Prefix | None = None,
    ) -> None:
        self._model, self._removal, self._prefix = model, removal, prefix
        self.output = output
        self._start = 0 if prefix is None else prefix.length
        n_units, device = len(prompt.units), model.device
        # Tokens of no unit belong to one more, which is always present.
        owners = [owner if owner >= 0 else n_units for owner in prompt.units.owners]
        self._owners = torch.tensor(owners, device=device)[self._start :]
        self._read = torch.tensor(prompt.tokens.ids, device=device)[self._start :]
        self._written = torch.tensor(continuation.ids, device=device)

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        sizes = self._start, len(self._read), len(self._written)
        form = UnitScores, self._removal.takes_away, self.output, *sizes
        return self._model.forward_func, form

    def __call__(self, present: Tensor) -> Tensor:
        """Return scores: 1 where a unit is present [rows, n_units] -> [rows, tokens + 1]."""
        whole = torch.cat([present > 0.5, present.new_ones(len(present), 1, dtype=torch.bool)], 1)
        kept = whole.to(self._owners.device)[:, self._owners]
        given = self._shortened(kept) if self._removal.takes_away else self._replaced(kept)
        if self._prefix is not None:
            given[self._prefix.argument] = self._prefix.cache(len(kept))
            given["use_cache"] = True
        logits = self._model.logits(len(self._written), **given)
        return score_tokens(logits, self._written, self.output).to(present.device)

    def _replaced(self, kept: Tensor) -> dict[str, Any]:
        """Return ids with the token of the removal in place of those that are absent."""
        token = self._removal.token
        assert token is not None
        ids = self._with_written(torch.where(kept, self._read, token))
        # Some models look away from pad tokens where nothing is said; these are to be seen.
        return {"input_ids": ids, **self._seen(torch.ones_like(ids))}

    def _shortened(self, kept: Tensor) -> dict[str, Any]:
        """Return ids and masks of prompts without those that are absent.

        These go to the left end, where nothing looks at them; the others are numbered as in a
        prompt that never had them. So the last token present stands next to the continuation, and
        says what its first token is.
        """
        order = kept.to(torch.uint8).argsort(dim=1, stable=True)
        ids = self._with_written(self._read[order])
        seen = torch.ones_like(ids)
        seen[:, : kept.shape[1]] = kept.gather(1, order).long()
        given = {"input_ids": ids, **self._seen(seen)}
        if self._model.takes("position_ids"):  # others number them by the mask
            given["position_ids"] = (seen.cumsum(1) - 1).clamp(min=0) + self._start
        return given

    def _seen(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the mask of what is looked at, that of the prefix as well."""
        if not self._model.takes("attention_mask"):
            return {}
        return {"attention_mask": torch.cat([rows.new_ones(len(rows), self._start), rows], 1)}

    def _with_written(self, read: Tensor) -> Tensor:
        written = self._written[:-1].expand(len(read), -1)  # the last one is only predicted
        return torch.cat([read, written], 1)


class EmbeddingScores(nn.Module):
    """Scores as a function of the vectors of all tokens: those of the prompt, then the others.

    A module, so that methods can trace it. Ids and output are arguments, so that what is learned or
    traced of it serves every continuation of a length.

    Parameters
    ----------
    model : CausalModel
    """

    def __init__(self, model: CausalModel) -> None:
        super().__init__()
        self.model = model.forward_func
        self._called = model

    def follow_mode(self) -> None:
        """Be in the mode of the model."""
        self.training = self._called.is_noisy

    def forward(self, rows: Tensor, ids: Tensor, output: str) -> Tensor:
        """Return scores: [rows, tokens that are read, width] -> [rows, tokens + 1].

        ``ids``, int64 [tokens], are those of the continuation, of which the last one is not read.
        """
        logits = self._called.logits(ids.shape[0], inputs_embeds=rows)
        return score_tokens(logits, ids, output)
