"""Draw gradients until their standard errors meet a tolerance, example by example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.attribution.coalitions.coalition_method import Stop
from pyxai.attribution.sampled.sampled_gradients import SampledGradients, mean_errors
from pyxai.explanation.rows import take_target
from pyxai.runner import Runner
from pyxai.runner.arguments import take_copies

__all__ = ["FIRST_DRAWS", "SampledCall", "check_stop", "sample_to_tolerance"]

# Of fewer draws the standard error is too uncertain to stop by.
FIRST_DRAWS = 32
_ROUNDS = 64  # the default limit, in units of the first round


@dataclass(frozen=True)
class SampledCall:
    """The arguments of a call that make a runner, for all of its examples or for some."""

    forward_func: Callable[..., Any]
    target: Any
    additional_forward_args: Any
    max_rows: int | None

    def runner(self, rows: Tensor | None = None, batch: int = 0) -> Runner:
        """Make the runner for examples int64 [n_rows] of ``batch``; default: for all."""
        target, arguments = self.target, self.additional_forward_args
        if rows is not None:
            target = take_target(target, rows, batch)
            arguments = take_copies(arguments, rows, batch)
        return Runner(
            self.forward_func,
            target=target,
            additional_forward_args=arguments,
            max_rows=self.max_rows,
        )


def check_stop(tolerance: Any, max_evals: Any) -> None:
    """Raise unless the tolerance is a positive number, or none is given and no limit either."""
    Stop(tolerance, max_evals, 1)


def sample_to_tolerance(
    sampled: SampledGradients,
    call: SampledCall,
    tolerance: float,
    max_evals: int | None,
    *,
    sums: bool = False,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """Double the draws of every example whose largest standard error is above the tolerance.

    Returns
    -------
    means, errors : tuple of Tensor, shape [batch, *feat]
    sums : Tensor, shape [batch]
        Mean over draws of the sum over features of ``(x + noise - b) * gradient``; 0 unless asked
        for.

    Warns
    -----
    PyxaiWarning
        If the tolerance is not met within ``max_evals`` draws.
    """
    first = max(sampled.n_samples, FIRST_DRAWS)
    stop = Stop(tolerance, max_evals, _ROUNDS * first)
    drawn, target = 0, min(first, stop.max_evals)
    batch = sampled.example_ids.numel()
    active = torch.arange(batch, device=sampled.inputs[0].device)
    # A model that makes one scalar of the batch needs all examples in every round.
    together = call.runner().outputs(sampled.inputs).shape[0] < batch
    totals: tuple[Tensor, ...] = ()
    while True:
        part = _take(sampled, active, drawn, target - drawn)
        more, more_squares, each = part.sums(call.runner(active, batch), errors=True, sums=sums)
        if not totals:
            totals, squares, products = more, more_squares, each.sum(1)
            count = torch.full_like(active, target)
        else:
            for whole, added in zip((*totals, *squares), (*more, *more_squares), strict=True):
                whole[active] += added
            products[active] += each.sum(1)
            count[active] = target
        drawn = target
        means = tuple(
            total / count.view(-1, *[1] * (total.dim() - 1)).to(total.dtype) for total in totals
        )
        errors = mean_errors(means, squares, count)
        spread = torch.cat([flat_features(error) for error in errors], 1)[active]
        missed = stop.missed(spread)
        # The last round may be a part of a doubling; without room for one more draw, say so.
        target = max(min(2 * drawn, stop.max_evals), drawn + 1)
        if not bool(missed.any()) or not stop.allows(target, spread):
            return means, errors, products / count
        active = active if together else active[missed]


def _take(sampled: SampledGradients, rows: Tensor, start: int, n_samples: int) -> SampledGradients:
    """Return further draws of some of the examples."""
    return replace(
        sampled,
        inputs=tuple(value[rows] for value in sampled.inputs),
        example_ids=sampled.example_ids[rows.to(sampled.example_ids.device)],
        start=start,
        n_samples=n_samples,
    )
