"""The checks of one method on one model, each a number and its error."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from pyxai._errors import PyxaiWarning
from pyxai.metrics.checks.explained import Explained
from pyxai.metrics.checks.result import RealityCheck, mean_and_error
from pyxai.metrics.point_game import point_game
from pyxai.metrics.stability import stability
from pyxai.runner import Runner, outside_scope

__all__ = ["ground_truth", "invariants", "phrases", "readers", "recognised_model", "robustness"]


def ground_truth(explained: Explained, truth: Tensor | None, absolute: bool) -> RealityCheck:
    """Tell how often the top feature is one that matters; equal ones share the hit."""
    if truth is None:
        return missing("ground_truth", "truth must be given")
    values = explained.attributions()
    values = values.abs() if absolute else values
    top = values == values.amax(1, keepdim=True)
    hits = (top & truth).sum(1) / top.sum(1).double()
    value, error = mean_and_error(hits)
    return RealityCheck(
        "ground_truth",
        value,
        error,
        float(truth.double().mean()),
        True,
        len(hits),
        "share of examples whose top feature matters, against chance",
    )


def invariants(explained: Explained, tolerance: float) -> RealityCheck:
    """Tell how far scores of all, of none, and their sum are from what they must be.

    In units of the mean absolute change of the output.
    """
    outputs, start = explained.outputs(), explained.start()
    before = explained.outputs(start)
    if explained.has_background:
        before = before.mean().expand_as(outputs)
    change = outputs - before
    scale = change.abs().mean()
    if float(scale) == 0:
        return missing("invariants", "the output must differ from that of the baselines")
    broken = _broken_parts(explained, outputs) if explained.splits else [
        explained.shares().sum(1) - change
    ]  # fmt: skip
    if not explained.splits and not explained.has_background:
        with warnings.catch_warnings():
            # That nothing changes the output is just what is asked.
            warnings.simplefilter("ignore", PyxaiWarning)
            broken.append(explained.shares(start).sum(1))
    if not explained.splits and "feature_mask" in explained.takes:
        broken.append(explained.group_scores(_everything(explained))[:, 0] - change)
    value, error = mean_and_error(torch.stack(broken).abs().amax(0) / scale)
    measured = "largest violation of: all features together, none, and the sum of scores"
    if explained.splits:
        measured = "largest violation of: all features together, and none"
    return RealityCheck(
        "invariants", value, error, tolerance, False, len(outputs), f"{measured}; in the change"
    )


def _everything(explained: Explained) -> tuple[Tensor, ...]:
    return tuple(
        torch.ones(1, 1, *x.shape[1:], dtype=torch.bool, device=x.device) for x in explained.inputs
    )


def _broken_parts(explained: Explained, outputs: Tensor) -> list[Tensor]:
    """Return how far the group of all features is from the output, and that of none from 0."""
    every = _everything(explained)
    found = explained.group_scores(tuple(torch.cat([mask, ~mask], 1) for mask in every))
    return [found[:, 0] - outputs, found[:, 1]]


def phrases(
    explained: Explained, masks: Tensor | tuple[Tensor, ...] | None, signs: Tensor | None
) -> RealityCheck:
    """Tell how often a group that is known to speak for the output scores above one against it.

    The error is that of the jackknife over examples.
    """
    if masks is None or signs is None:
        return missing("phrases", "phrases and phrase_signs must be given")
    scores = explained.group_scores(masks)
    signs = signs.to(scores.device).expand_as(scores)
    owners = torch.arange(len(scores), device=scores.device).unsqueeze(1).expand_as(scores)
    up, down = signs > 0, signs < 0
    n_up, n_down = up.sum(1).double(), down.sum(1).double()
    if not bool(up.any()) or not bool(down.any()):
        return missing("phrases", "phrase_signs must have groups for and against")
    higher, lower = scores[up].unsqueeze(1), scores[down].unsqueeze(0)
    wins = (higher > lower).double() + 0.5 * (higher == lower)
    rows = torch.zeros_like(n_up).index_add_(0, owners[up], wins.sum(1))
    columns = torch.zeros_like(n_up).index_add_(0, owners[down], wins.sum(0))
    own = wins * (owners[up].unsqueeze(1) == owners[down].unsqueeze(0))
    both = torch.zeros_like(n_up).index_add_(0, owners[up], own.sum(1))
    pairs = (n_up.sum() - n_up) * (n_down.sum() - n_down)
    without = ((wins.sum() - rows - columns + both) / pairs)[pairs > 0]
    spread = (without - without.mean()).square().mean() * (len(without) - 1)
    error = float(spread.sqrt()) if len(without) > 1 else math.nan
    return RealityCheck(
        "phrases",
        float(wins.mean()),
        error,
        0.5,
        True,
        wins.numel(),
        "share of pairs in which the group for the output scores above the one against it",
    )


def readers(answers: Tensor) -> RealityCheck:
    """Tell how often readers chose the more accurate of two models, over readers."""
    each = answers.double().mean(1)
    value, error = mean_and_error(each if len(each) > 1 else answers.double()[0])
    return RealityCheck(
        "human_study",
        value,
        error,
        0.5,
        True,
        answers.numel(),
        "share of questions in which readers chose the more accurate model",
    )


def recognised_model(
    explained: Explained, truth: Tensor | None, share: float, n_seeds: int, seed: int
) -> RealityCheck:
    """Let a reader who knows the truth choose between the model and one with permuted weights.

    It chooses the one whose explanation has more of its positive score on what matters. The error
    is the larger of that over examples and that over copies of the model.
    """
    if truth is None:
        return missing("human_study", "answers or truth must be given")
    if not isinstance(explained.model, nn.Module):
        return missing("human_study", "model must be an nn.Module, or answers be given")
    mine = point_game(explained.attributions(), truth, mode="mass")
    chosen = []
    for other in explained.with_weights_permuted(share, range(seed, seed + n_seeds)):
        with outside_scope():  # one model with other weights each time
            theirs = point_game(other.attributions(), truth, mode="mass")
        chosen.append((mine > theirs).double() + 0.5 * (mine == theirs))
    found = torch.stack(chosen)
    value, error = mean_and_error(found.mean(0))
    by_copy = mean_and_error(found.mean(1))[1]
    errors = [each for each in (error, by_copy) if not math.isnan(each)]
    return RealityCheck(
        "human_study",
        value,
        max(errors, default=math.nan),
        0.5,
        True,
        found.numel(),
        f"share of choices of the model over one with {share:.0%} of its weights permuted, "
        "by a reader who knows what matters",
    )


def robustness(explained: Explained, radius: float, bound: float) -> RealityCheck:
    """Compare ranks of features before and after a step that lowers the output most.

    A map that is constant ranks nothing and correlates with nothing: 0.
    """
    if not explained.floating:
        return missing("robustness", "inputs must be floating point")
    moved = tuple(
        x - radius * gradient.sign()
        for x, gradient in zip(explained.inputs, _gradients(explained), strict=True)
    )
    before, after = (_without_rounding(explained.attributions(each)) for each in (None, moved))
    ranks = stability(before, after)
    value, error = mean_and_error(ranks.nan_to_num(0.0))
    return RealityCheck(
        "robustness",
        value,
        error,
        bound,
        True,
        len(ranks),
        f"rank correlation after a gradient-sign step of {radius:g}",
    )


def _without_rounding(scores: Tensor) -> Tensor:
    """Return scores in which what rounding has left of 0 is 0: its order means nothing."""
    return scores.masked_fill(scores.abs() <= 1e-6 * scores.abs().amax(1, keepdim=True), 0.0)


def _gradients(explained: Explained) -> tuple[Tensor, ...]:
    found = tuple(torch.empty_like(x) for x in explained.inputs)

    def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
        return tuple(x[examples].clone() for x in explained.inputs)

    def consume(examples: slice, _: slice, gradients: tuple[Tensor, ...]) -> None:
        for each, gradient in zip(found, gradients, strict=True):
            each[examples] = gradient

    further = explained.options.get("additional_forward_args")
    runner = Runner(explained.model, target=explained.target, additional_forward_args=further)
    runner.gradients(build, explained.batch, 1, consume)
    return found


def missing(name: str, what: str) -> RealityCheck:
    """Return a check that was not made, with what it lacks."""
    return RealityCheck(name, math.nan, math.nan, math.nan, True, 0, f"not made: {what}")
