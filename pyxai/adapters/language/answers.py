"""What a method says of a continuation: asked about units, or about vectors of the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai.adapters.language.agreement import all_scores, check_rows, scores_agree
from pyxai.adapters.language.causal_model import CausalModel
from pyxai.adapters.language.continuations import Continuation
from pyxai.adapters.language.prefix import read_prefix
from pyxai.adapters.language.prompts import Prompt
from pyxai.adapters.language.removal import Removal
from pyxai.adapters.language.scores import EmbeddingScores, UnitScores
from pyxai.adapters.units.hierarchy import nested_units
from pyxai.attribution.ablation.feature_ablation import FeatureAblation
from pyxai.explain import explain
from pyxai.masks import sum_groups
from pyxai.runner import EveryOutput, Runner, Shared

__all__ = ["Answer", "Question", "answer_about_units", "answer_about_vectors"]

_LEAST_PREFIX = 16  # tokens, from which on keys and values are computed once
_ALL_PRESENT = Removal("nothing", token=0)  # for rows in which no unit is absent


class Answer(NamedTuple):
    """Values for each token of a continuation and, in the last row, for the whole of it."""

    attributions: Tensor  # [tokens + 1, n_units]
    fixed: Tensor  # [tokens + 1], what tokens of the prompt got that belong to no unit
    earlier: Tensor  # [tokens + 1], what the continuation's own tokens got
    outputs: Tensor  # [tokens + 1], scores at the prompt
    delta: Tensor | None  # [tokens + 1]
    error: Tensor | None  # like attributions


@dataclass(frozen=True)
class Question:
    """What was read, what was written, and what is explained of it."""

    model: CausalModel
    prompt: Prompt
    continuation: Continuation
    output: str

    def scores(self, removal: Removal, **options: Any) -> UnitScores:
        """Return the scores as a function of present units."""
        return UnitScores(
            self.model, self.prompt, self.continuation, removal, self.output, **options
        )

    @property
    def present(self) -> Tensor:
        """All units of the prompt, [1, n_units]."""
        dtype = torch.float64 if self.model.dtype == torch.float64 else torch.float32
        return torch.ones(1, len(self.prompt.units), dtype=dtype, device=self.model.device)


def answer_about_units(
    name: str, question: Question, removal: Removal, options: dict[str, Any]
) -> Answer:
    """Ask a method that takes units away."""
    model, prompt = question.model, question.prompt
    scores, present = question.scores(removal), question.present
    outputs = all_scores(scores, present)
    check_rows(model, prompt, question.continuation, scores, outputs, removal)
    if prompt.first >= _LEAST_PREFIX:
        start = torch.tensor([prompt.tokens.ids[: prompt.first]], device=model.device)
        prefix = read_prefix(model, start)
        faster = question.scores(removal, prefix=prefix)
        if prefix is not None and scores_agree(model, all_scores(faster, present), outputs):
            scores = faster
    nothing = torch.zeros_like(outputs)  # what is never taken away gets nothing
    if name == "feature_ablation":
        for option in options:
            check_choice(f"options of {name}", option, ("perturbations_per_eval", "show_progress"))
        drops = FeatureAblation(scores).attribute(present, **options)
        assert isinstance(drops, Tensor)
        return Answer(drops, nothing, nothing, outputs, None, None)
    if name == "partition_shap" and options.get("hierarchy") is None:
        options = {**options, "hierarchy": nested_units(prompt.tokens, prompt.units)}
    found = explain(scores, present, method=name, **options)
    assert isinstance(found.attributions, Tensor)
    delta = None if found.convergence_delta is None else found.convergence_delta[0]
    error = found.error[0] if isinstance(found.error, Tensor) else None
    return Answer(found.attributions[0], nothing, nothing, outputs, delta, error)


def answer_about_vectors(
    name: str,
    question: Question,
    scores: EmbeddingScores,
    removal: Removal | None,
    options: dict[str, Any],
) -> Answer:
    """Ask a method about the vectors of the embedding, by gradients or by rules.

    Each score is an example of its own, so that rows of different scores share passes.
    """
    model, prompt, continuation = question.model, question.prompt, question.continuation
    ids = torch.tensor([prompt.tokens.ids + continuation.ids[:-1]], device=model.device)
    vectors = model.embedded(ids)
    by_ids = question.scores(_ALL_PRESENT)
    outputs = all_scores(by_ids, question.present)
    check_rows(model, prompt, continuation, by_ids, outputs, _ALL_PRESENT)
    scores.follow_mode()
    written = Shared(torch.tensor(continuation.ids, device=model.device))
    arguments = (written, question.output)
    by_vectors = Runner(scores, target=EveryOutput(), additional_forward_args=arguments)
    if not scores_agree(model, by_vectors.outputs((vectors,))[0], outputs):
        raise ValueError(
            "model must score vectors of the embedding as it scores their ids for methods that "
            "ask at the embedding, got other scores for inputs_embeds"
        )
    adds_up = name == "lrp"  # to the whole, whose logits may cancel and leave nothing to share
    n_rows = len(continuation.ids) + (not adds_up)
    others = [-1] * (len(continuation.ids) - 1)
    owners = torch.tensor([*prompt.units.owners, *others], device=model.device)
    found = explain(
        scores,
        vectors.expand(n_rows, -1, -1),
        method=name,
        target=torch.arange(n_rows, device=model.device),
        baselines=None if removal is None else _start(model, vectors, owners, removal),
        additional_forward_args=arguments,
        **options,
    )
    assert isinstance(found.attributions, Tensor)
    assert found.outputs is not None
    tokens, delta = found.attributions.sum(2), found.convergence_delta  # [n_rows, tokens]
    length, n_units = len(prompt.tokens), len(prompt.units)
    sums = sum_groups(
        tokens[:, :length],
        owners[:length].where(owners[:length] >= 0, n_units),
        return_input_shape=False,
    )
    assert isinstance(sums, Tensor)
    units, fixed = sums[:, :n_units], sums[:, n_units:].sum(1)
    answer = Answer(units, fixed, tokens[:, length:].sum(1), found.outputs, delta, None)
    return _with_whole(answer) if adds_up else answer


def _with_whole(answer: Answer) -> Answer:
    """Return what tokens got with its sum behind it, for the whole continuation."""
    parts = answer._asdict().items()
    return answer._replace(
        **{
            name: torch.cat([part, part.sum(0, keepdim=True)])
            for name, part in parts
            if part is not None
        }
    )


def _start(model: CausalModel, vectors: Tensor, owners: Tensor, removal: Removal) -> Tensor:
    """Return where a path begins: fixed parts stay as they are all along it."""
    start = removal.vector
    if start is None:
        start = model.embedded(torch.tensor([[removal.token]], device=model.device))[0, 0]
    return torch.where((owners >= 0)[None, :, None], start.to(vectors), vectors)
