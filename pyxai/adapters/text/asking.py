"""One batch of texts, one method: what is asked, and what each unit gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.adapters.text.baselines import Baseline, hides
from pyxai.adapters.text.batches import Batch
from pyxai.adapters.text.text_model import UnitGame
from pyxai.adapters.text.ways import takes
from pyxai.adapters.units.hierarchy import nested_units
from pyxai.attribution.layers.cuts.cut import Cut
from pyxai.attribution.layers.cuts.from_layers import FromLayersModule
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.masks import sum_groups
from pyxai.methods.store import Method

__all__ = ["Answer", "Question", "about_units", "at_embeddings"]


@dataclass(frozen=True)
class Question:
    """What is asked of all batches.

    Attributes
    ----------
    rest : FromLayersModule
        The model behind the embedding.
    entry : Method
        What explains.
    baseline : Baseline or None
        What stands for absent units; ``None`` for methods that take none.
    options : dict
        The user's.
    """

    rest: FromLayersModule
    entry: Method
    baseline: Baseline | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came out for a batch.

    Attributes
    ----------
    units : Tensor, shape [batch, n_units]
        Attributions.
    others : Tensor, shape [batch]
        What tokens got that belong to no unit.
    found : Explanation
        What the method returned.
    error : Tensor or None, shape [batch, n_units]
    """

    units: Tensor
    others: Tensor
    found: Explanation
    error: Tensor | None = None

    @property
    def delta(self) -> Tensor | None:
        """How far the units are from the difference of the outputs, [batch], if it is known."""
        delta = self.found.convergence_delta
        if delta is None:
            return None
        own = delta.reshape(len(self.units), -1).mean(1)
        return own - self.others.to(own)


def about_units(question: Question, batch: Batch, cut: Cut, targets: list[int | None]) -> Answer:
    """Ask about units that are present or absent; all texts of the batch have as many."""
    assert question.baseline is not None
    [values] = cut.values
    absent = question.baseline.values(batch, cut)
    stays = (~batch.owned & (batch.mask > 0)).any(1)
    if hides(question.baseline.given) and not bool(stays.all()):
        raise ValueError(
            "baseline must be a token or a vector for a text whose tokens all belong to units, as "
            f"attention would have none left, got {question.baseline.given!r}"
        )
    game = UnitGame(question.rest, hides(question.baseline.given))
    presence = torch.ones(len(values), batch.n_units, dtype=values.dtype, device=values.device)
    options = dict(question.options)
    name = question.entry.name
    if name == "occlusion":
        options.setdefault("sliding_window_shapes", (1,))
    if name == "partition_shap":
        options.setdefault("hierarchy", nested_units(batch.texts[0].tokens, batch.texts[0].units))
    found = explain(
        game,
        presence,
        method=question.entry.name,
        target=_target(targets),
        baselines=torch.zeros_like(presence[:1]),
        additional_forward_args=(values, absent, batch.owners, batch.ids, batch.mask),
        **options,
    )
    scores, error = found.attributions, found.error
    assert isinstance(scores, Tensor)
    assert not isinstance(error, tuple)
    return Answer(scores, scores.new_zeros(len(scores)), found, error)


def at_embeddings(question: Question, batch: Batch, cut: Cut, targets: list[int | None]) -> Answer:
    """Ask about the vectors of tokens, and add up what belongs to a unit."""
    [values] = cut.values
    options = dict(question.options)
    if question.baseline is not None:
        options["baselines"] = question.baseline.values(batch, cut)
    # Left out, `explain` would ask for them.
    if takes(question.entry, "return_error") and options.setdefault("return_error", False):
        raise ValueError(
            f"return_error must be left out for {question.entry.name} of a text, as errors of "
            "the numbers that a unit adds up do not add up, got "
            f"{describe(options['return_error'])}"
        )
    groups = batch.owners.reshape(*batch.owners.shape, *[1] * (values.dim() - 2))
    grouped = question.entry.name == "contextual_decomposition"
    if grouped:
        options["feature_mask"] = groups
    found = explain(
        question.rest,
        values,
        method=question.entry.name,
        target=_target(targets),
        additional_forward_args=(batch.ids, batch.mask),
        **options,
    )
    scores = found.attributions
    assert isinstance(scores, Tensor)
    if grouped:  # each number has the score of its group: one of them is it
        counts = _sums(torch.ones_like(scores), groups)
        sums = _sums(scores, groups) / counts.clamp(min=1)
    else:
        sums = _sums(scores, groups)
    others = sums[:, batch.n_units :].sum(1)  # no column where all tokens belong to units
    return Answer(sums[:, : batch.n_units], others, found)


def _target(targets: list[int | None]) -> Any:
    """Return the targets as methods take them: a model with one output has none."""
    return None if targets[0] is None else targets


def _sums(scores: Tensor, groups: Tensor) -> Tensor:
    sums = sum_groups(scores, groups, return_input_shape=False)
    assert isinstance(sums, Tensor)
    return sums
