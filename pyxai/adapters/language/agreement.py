"""Whether a model does what its scores rest on: one run of another form must agree."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.continuations import Continuation, NextToken
from pyxai.adapters.language.prompts import Prompt
from pyxai.adapters.language.removal import Removal
from pyxai.adapters.language.scores import UnitScores, score_tokens
from pyxai.runner import EveryOutput, Runner

__all__ = ["all_scores", "check_rows", "scores_agree"]


def all_scores(scores: Callable[[Tensor], Tensor], row: Tensor) -> Tensor:
    """Return all outputs of one row."""
    return Runner(scores, target=EveryOutput()).outputs((row,))[0]


def scores_agree(model: CausalModel, left: Tensor, right: Tensor) -> bool:
    """Tell whether scores are the same but for rounding, or for the noise of a model in training.

    A score is a sum over layers, each of which rounds: the root of the spacing of numbers, some
    times, leaves room for that, and is below what another context does to a score.
    """
    if model.is_noisy:
        return True
    near = 4 * torch.finfo(model.dtype).eps ** 0.5
    return bool(((left - right).abs() <= near * (1 + right.abs())).all())


def check_rows(
    model: CausalModel,
    prompt: Prompt,
    continuation: Continuation,
    scores: UnitScores,
    outputs: Tensor,
    removal: Removal,
) -> None:
    """Raise unless the first token is scored as if nothing followed it and nothing were absent.

    The other run has the prompt alone; where tokens are taken away, that of a prompt without its
    first unit.
    """
    ids, found = list(prompt.tokens.ids), outputs
    if removal.takes_away and len(prompt.units) > 1:
        away = set(prompt.units[0].tokens)
        ids = [each for at, each in enumerate(ids) if at not in away]
        present = outputs.new_ones(1, len(prompt.units))
        present[0, 0] = 0
        found = all_scores(scores, present)
    logits = all_scores(NextToken(model), torch.tensor([ids], device=model.device))
    first = torch.tensor(continuation.ids[:1], device=model.device)
    alone = score_tokens(logits[None, None], first, scores.output)[0, :1]
    if not scores_agree(model, found[:1], alone):
        raise ValueError(
            "model must be causal and look away from the tokens that attention_mask leaves out, "
            f"got another score of {continuation.labels[0]!r} with tokens behind it, or absent "
            "ones before it, than without them"
        )
