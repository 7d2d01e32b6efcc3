"""Rules for ops that select elements: the total decides which, and parts follow it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.decomposed.functions import function
from pyxai.propagation.decomposed.split import ABSENT, refusal, split_of
from pyxai.propagation.multipliers.order_statistics import RANKED
from pyxai.propagation.multipliers.ordered import POOLS
from pyxai.tracing import Call
from pyxai.tracing.interpreter import invoke

__all__ = ["EXTREMA", "ORDERED", "POOLS", "WINNERS", "extremum", "ordered", "pool", "winner"]

EXTREMA = ("amax", "amin")
ORDERED = ("max", "min", *RANKED)
WINNERS = ("fmax", "fmin", "maximum", "minimum")
Pick = Callable[[Tensor], Tensor]


def _selected(call: Call, pick: Pick) -> Any:
    """Apply a selection to the part that this pass computes."""
    split = split_of(call)
    name = call.sole()
    held = call.runs[0][call.node.args[name]]
    if held is ABSENT:
        return ABSENT
    if split.errors is not None:
        split.note(call, pick(split.whole(call.node.args[name])))
    return pick(held)


def picks(call: Call, total: Tensor) -> Pick:
    """Return how an op selects from a tensor like ``total``, of which it takes its elements."""
    op, dim = call.node.op, call.node.args.get("dim")
    if op in POOLS:
        axes = 3 if "3d" in op else 2
        places = _again(call, total)[1]
        return lambda part: _gathered(part.flatten(-axes), places.flatten(-axes), -1).view(
            *part.shape[:-axes], *places.shape[-axes:]
        )
    if op in EXTREMA:
        return _over_axes(call, total)
    if dim is None:  # of the whole batch
        raise refusal(call, call.dependents())
    found = _again(call, total)[1]
    kept = bool(call.node.args.get("keepdim", True))
    where = found if kept else found.unsqueeze(dim)
    if kept:
        return lambda part: _gathered(part, where, dim)
    return lambda part: _gathered(part, where, dim).squeeze(dim)


def _again(call: Call, total: Tensor) -> Any:
    return invoke(call.node, {**call.arguments(), call.sole(): total})


def _gathered(part: Tensor, places: Tensor, dim: int) -> Tensor:
    sizes = list(part.shape)
    sizes[dim] = places.shape[dim]
    return part.gather(dim, places.expand(sizes))


def _over_axes(call: Call, total: Tensor) -> Pick:
    dims = [axis % total.dim() for axis in call.node.args["dim"]] or list(range(total.dim()))
    others = [axis for axis in range(total.dim()) if axis not in dims]
    order, width = [*others, *dims], math.prod(total.shape[axis] for axis in dims)
    best = torch.argmin if call.node.op == "amin" else torch.argmax

    def flat(part: Tensor) -> Tensor:
        return part.permute(order).reshape(*(part.shape[axis] for axis in others), width)

    where = best(flat(total), -1, keepdim=True)

    def pick(part: Tensor) -> Tensor:
        found = _gathered(flat(part), where, -1).squeeze(-1)
        if call.node.args["keepdim"]:
            for axis in sorted(dims):
                found = found.unsqueeze(axis)
        return found

    return pick


def extremum(call: Call) -> Any:
    """Take the part of the element that is largest or smallest; the first of several."""
    split = split_of(call)
    if split.moving(call) != (call.sole(),):
        raise refusal(call, call.dependents())
    return _selected(call, picks(call, split.totals.lean(call.node.args[call.sole()])))


def ordered(call: Call) -> Any:
    """Do as `extremum` for an op that returns places beside values, which are not split."""
    return extremum(call), None


def pool(call: Call) -> Any:
    """Max pooling: parts of the element that the total selects in each window."""
    return extremum(call), None


def winner(call: Call) -> Any:
    """Take the part of the larger or smaller total; against a constant it is a function."""
    split = split_of(call)
    if len(split.moving(call)) < 2:
        return function(call)
    first, second = (call.node.args[name] for name in ("self", "other"))
    s, o = split.totals.lean(first), split.totals.lean(second)
    takes = (s <= o) if call.node.op in ("fmin", "minimum") else (s >= o)
    if split.of_biases and split.absent(call):
        return ABSENT
    run = call.runs[0]
    if split.errors is not None:
        split.note(call, torch.where(takes, s, o))
    return torch.where(
        takes, split.relevant(first, run[first]), split.relevant(second, run[second])
    )
