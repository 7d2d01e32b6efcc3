"""Of what use an explanation is to what comes after it, and that without it is worse."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.metrics.checks.explained import Explained
from pyxai.metrics.checks.result import RealityCheck, mean_and_error
from pyxai.metrics.checks.single import missing

__all__ = ["Pipeline", "distilled", "with_and_without"]

Pipeline = Callable[[bool, int], float]
"""(with the explanation, seed) -> a score, the higher the better."""

_FEWEST = 8  # examples that a linear model is fitted to and judged by


def distilled(explained: Explained) -> Pipeline | str:
    """Return the score of a linear model of the few best features, or what is missing for it.

    Half of the examples choose a tenth of the features by the mean size of their scores, at most a
    quarter as many as there are examples, and fit the output to them by least squares with a small
    ridge; R^2 is that of the other half. Without the explanation the features are drawn.
    """
    if not explained.floating:
        return "inputs must be floating point, or pipeline be given"
    if explained.batch < _FEWEST:
        return f"inputs must hold {_FEWEST} examples at least, or pipeline be given"
    outputs = explained.outputs()
    if float(outputs.std()) == 0:
        return "the output must not be the same for all examples, or pipeline be given"
    rows = torch.cat([flat_features(x.double()) for x in explained.inputs], 1)
    sizes = explained.attributions().abs()
    half, width = len(rows) // 2, rows.shape[1]
    n_kept = max(1, min(half // 4, -(-width // 10)))

    def score(with_explanation: bool, seed: int) -> float:
        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(rows), generator=rng).to(rows.device)
        kept = torch.randperm(width, generator=rng).to(rows.device)
        fit, judge = order[:half], order[half:]
        if with_explanation:  # equal ones in the order that was drawn
            best = sizes[fit].mean(0)[kept].argsort(descending=True, stable=True)
            kept = kept[best]
        return _r_squared(rows[:, kept[:n_kept]], outputs, fit, judge)

    return score


def _r_squared(columns: Tensor, outputs: Tensor, fit: Tensor, judge: Tensor) -> float:
    centre, middle = columns[fit].mean(0), outputs[fit].mean()
    design = columns[fit] - centre
    gram = design.T @ design
    ridge = 1e-6 * gram.diagonal().mean().clamp(min=torch.finfo(gram.dtype).tiny)
    gram = gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram, design.T @ (outputs[fit] - middle))
    missed = outputs[judge] - middle - (columns[judge] - centre) @ weights
    spread = (outputs[judge] - outputs[judge].mean()).square().sum()
    return float(1 - missed.square().sum() / spread) if float(spread) > 0 else 0.0


def with_and_without(
    explained: Explained, given: Pipeline | None, n_seeds: int, seed: int, useful_above: float
) -> tuple[RealityCheck, RealityCheck]:
    """Return how well a pipeline does, and how much worse without the explanation, over seeds."""
    what = "R^2 of a linear model of few features" if given is None else "score"
    pipeline = distilled(explained) if given is None else given
    if isinstance(pipeline, str):
        return missing("usefulness", pipeline), missing("ablation", pipeline)
    seeds = range(seed, seed + n_seeds)
    full = torch.tensor([float(pipeline(True, each)) for each in seeds], dtype=torch.float64)
    bare = torch.tensor([float(pipeline(False, each)) for each in seeds], dtype=torch.float64)
    useful = RealityCheck(
        "usefulness", *mean_and_error(full), useful_above, True, n_seeds, f"{what} with it"
    )
    ablation = RealityCheck(
        "ablation", *mean_and_error(full - bare), 0.0, True, n_seeds, f"{what} with it - without"
    )
    return useful, ablation
