"""Integrals along a path with as many nodes as each example needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai._inputs import flat_features
from pyxai._quadrature import nodes_and_weights
from pyxai.explanation.rows import take_baselines, take_target
from pyxai.game.path import add_path_attributions, path_totals
from pyxai.methods.base import endpoint_outputs
from pyxai.runner import Runner
from pyxai.runner.arguments import take_arguments
from pyxai.runner.mixing import per_output

__all__ = ["PathCall", "integrate_adaptively"]

_RULE = "clenshawcurtis"
_FIRST = 3  # nodes of the coarsest rule, which only tells how far off the second is
# Rules that share gradients hold a total each, so there are so many of them at a time.
_SHARED = 6
# Errors of single features cancel in their sum, of which the gap is measured: with ReLUs they were
# two to three times the gap.
_SPREAD = 3.0
_ROUNDING = 8.0  # units of rounding within which a gap is none


class PathCall(NamedTuple):
    """The arguments that have one row for each example."""

    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor | float, ...]
    target: Any
    arguments: Any

    def take(self, rows: Tensor) -> PathCall:
        """Return the call for some of the examples."""
        batch = len(self.inputs[0])
        return PathCall(
            tuple(tensor[rows] for tensor in self.inputs),
            take_baselines(self.baselines, self.inputs, rows),
            take_target(self.target, rows, batch),
            take_arguments(self.arguments, rows, batch),
        )


class _Ends(NamedTuple):
    """Outputs at both ends of the paths, float64 [n_outputs]."""

    start: Tensor
    end: Tensor


def integrate_adaptively(
    run: Callable[[PathCall], Runner],
    call: PathCall,
    tolerance: float,
    max_nodes: int,
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the integrals, [batch, *features], and their gaps of completeness, [n_outputs].

    Clenshaw-Curtis with 5, 9, 17, ... nodes, each rule with all nodes of the one before. Examples
    are done, and leave the batch, when their gap is at most ``tolerance`` of the change of the
    output, and half the difference from the rule before at most three times ``tolerance`` of the
    attributions (sums of absolute values). Half of it is what is left where the integrand has kinks
    and the error halves with each rule; where it is smooth it is less.
    """
    ends = _Ends(*(part.double() for part in endpoint_outputs(run(call), *call[:2])))
    found = path_totals(call.inputs)
    gaps = torch.zeros_like(ends.end)
    rows = torch.arange(len(gaps), device=gaps.device)  # outputs that are not done
    counts = [_FIRST]
    while rows.numel() and 2 * counts[-1] - 1 <= max_nodes:
        while len(counts) < _SHARED and 2 * counts[-1] - 1 <= max_nodes:
            counts.append(2 * counts[-1] - 1)
        rows = _with_rules(run, call, ends, counts, tolerance, rows, found, gaps)
        counts = counts[-1:]  # with which the next rule is compared
    if rows.numel():
        batch = len(call.inputs[0])
        share = (gaps[rows].abs() / (ends.end - ends.start)[rows].abs()).max()
        warn(
            f"integrated gradients miss the tolerance of {tolerance:g} in "
            f"{len(_examples(rows, gaps, batch))} of {batch} example(s), whose gaps are up to "
            f"{float(share):.3g} of the change of the output, with max_steps={max_nodes}; raise "
            "it, or look for jumps of the model on the path"
        )
    return found, gaps


def _examples(rows: Tensor, gaps: Tensor, batch: int) -> Tensor:
    """Return the examples of some outputs; one output of the whole batch has them all."""
    return rows if len(gaps) == batch else torch.arange(batch, device=rows.device)


def _with_rules(
    run: Callable[[PathCall], Runner],
    call: PathCall,
    ends: _Ends,
    counts: list[int],
    tolerance: float,
    rows: Tensor,
    found: tuple[Tensor, ...],
    gaps: Tensor,
) -> Tensor:
    """Apply rules that share gradients, write what is found, and return which outputs miss."""
    batch = len(call.inputs[0])
    mine = call.take(_examples(rows, gaps, batch))
    rules = [nodes_and_weights(_RULE, count)[1] for count in counts]
    totals = [path_totals(mine.inputs) for _ in counts]
    nodes, _ = nodes_and_weights(_RULE, counts[-1])
    met = torch.zeros(len(nodes), dtype=torch.bool)
    for at in range(1, len(counts)):
        step = 2 ** (len(counts) - 1 - at)  # between the nodes of this rule, in those of the finest
        fresh = torch.zeros_like(met)
        fresh[::step] = True
        fresh &= ~met
        met |= fresh
        places = fresh.nonzero()[:, 0]
        later = [
            (_weights_at(places, rules[k], len(nodes)), totals[k])
            for k in range(at - (at == 1), len(counts))
        ]
        add_path_attributions(run(mine), *mine[:2], nodes[places], later, multiply_by_inputs=True)
        examples = _examples(rows, gaps, batch)
        for whole, part in zip(found, totals[at], strict=True):
            whole[examples] = part
        here = _Ends(ends.start[rows], ends.end[rows])
        gap, good = _judged(here, totals[at - 1], totals[at], tolerance)
        gaps[rows] = gap
        rows, left = rows[~good], _examples((~good).nonzero()[:, 0], gap, len(examples))
        if not rows.numel():
            break
        if len(left) < len(examples):
            mine = mine.take(left)
            totals = [tuple(part[left] for part in parts) for parts in totals]
    return rows


def _weights_at(places: Tensor, weights: Tensor, n_nodes: int) -> Tensor:
    """Return the weights of a rule at some nodes of a finer one; 0 where it has no node."""
    spread = torch.zeros(n_nodes, dtype=weights.dtype)
    spread[:: (n_nodes - 1) // (len(weights) - 1)] = weights
    return spread[places]


def _judged(
    ends: _Ends, coarse: tuple[Tensor, ...], fine: tuple[Tensor, ...], tolerance: float
) -> tuple[Tensor, Tensor]:
    """Return the gap of each output, and whether it and the rules' difference are small enough."""
    change = ends.end - ends.start

    def summed(parts: list[Tensor]) -> Tensor:
        return per_output(torch.stack([flat_features(p).sum(1) for p in parts]).sum(0), change)

    gap = summed([part.double() for part in fine]) - change
    size = summed([part.double().abs() for part in fine])
    apart = summed([(a.double() - b).abs() for a, b in zip(coarse, fine, strict=True)])
    unit = _ROUNDING * torch.finfo(fine[0].dtype).eps
    noise = unit * (size + ends.end.abs() + ends.start.abs())
    close = gap.abs() <= torch.maximum(tolerance * change.abs(), noise)
    return gap, close & (apart / 2 <= torch.maximum(_SPREAD * tolerance * size, noise))
