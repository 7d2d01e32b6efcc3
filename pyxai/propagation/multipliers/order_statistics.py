"""Sorted values, medians, running extrema: each result's change goes to one element.

If the k-th largest value rises from ``y_b`` to ``y_x``, an element has risen from ``y_b`` or below
to ``y_x`` or above: k elements stand at ``y_x`` or above at the input, and fewer than k stood above
``y_b``. It takes the change with a multiplier in [0, 1]; so does one that has fallen where the
value falls. Of several it is the one whose ends are closest to those of the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai._inputs import sums_at
from pyxai.propagation.multipliers.secant import pair
from pyxai.tracing import Call, Node

__all__ = ["RANKED", "is_taken_by_rank", "ranked", "scattered_extremum", "taken_by_rank"]

RANKED = ("cummax", "cummin", "kthvalue", "median", "nanmedian", "sort", "topk")
_RUNNING = ("cummax", "cummin")
# Comparisons at once.
_ELEMENTS = 1 << 22


def _candidates(x: Tensor, b: Tensor, y_x: Tensor, y_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return which elements may take the change of a result, and how far they are from it."""
    rises = y_x >= y_b
    risen, fallen = (x >= y_x) & (b <= y_b), (x <= y_x) & (b >= y_b)
    fits = torch.where(rises, risen, fallen)
    distance = ((x - y_x).abs() + (b - y_b).abs()).nan_to_num(nan=0.0)
    return fits, distance.masked_fill(~fits, math.inf)


def _share(change: Tensor, step: Tensor) -> Tensor:
    """Return the multiplier; that of an element which is the result and does not move is 1."""
    still = step == 0
    ones = torch.ones_like(step)
    return torch.where(still, ones, change / torch.where(still, ones, step))


def ranked(call: Call, multiplier: Any) -> dict[str, Any]:
    """Ops that return values by rank along an axis, and where they stood."""
    if not isinstance(multiplier, list) or call.node.args.get("dim") is None:
        raise _refusal(call, "over all elements")
    given, places = (*multiplier, None)[:2]
    if places is not None and not torch.equal(call.output(0)[1], call.output(1)[1]):
        raise _refusal(call, "whose places differ between input and baseline")
    if given is None:
        return {"self": None}
    shape = call.shape("self")
    if not shape:
        return {"self": given}
    dim = call["dim"] % len(shape)
    ends = pair(call, "self", given.dtype)
    results = [call.output(run)[0].to(given.dtype) for run in (0, 1)]
    if given.dim() < len(shape):  # a reduction that does not keep its axis
        given, *results = (value.unsqueeze(dim) for value in (given, *results))
    return {"self": _along(dim, (*ends, *results, given), call.node.op in _RUNNING)}


def is_taken_by_rank(node: Node) -> bool:
    """Whether an op gathers elements by their own ranks, as ``x.gather(1, x.argsort(1))``."""
    places = node.args.get("index")
    if node.op != "gather" or not isinstance(places, Node) or places.op != "getitem":
        return False
    ranking, source = places.args["0"], node.args["self"]
    if ranking.op not in RANKED or ranking.args["self"] is not source or places.args["1"] != 1:
        return False
    dims: set[Any] = {node.args["dim"], ranking.args.get("dim")}
    return len(dims) == 1 and bool(ranking.args.get("keepdim", True))


def taken_by_rank(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Do as `ranked` where the places are used rather than the values."""
    ends = pair(call, "self", multiplier.dtype)
    results = (call.output(run).to(multiplier.dtype) for run in (0, 1))
    running = call.node.args["index"].args["0"].op in _RUNNING
    found = _along(call["dim"], (*ends, *results, multiplier), running)
    return {"self": found, "index": None}


def _along(dim: int, values: Iterable[Tensor], running: bool) -> Tensor:
    """Send multipliers to elements along an axis; the values are what `_to_elements` takes."""
    rows = [value.movedim(dim, -1) for value in values]
    x, b, y_x, y_b, given = (value.reshape(-1, value.shape[-1]) for value in rows)
    found = _to_elements(x, b, y_x, y_b, given, running)
    return found.reshape(rows[0].shape).movedim(-1, dim)


def _to_elements(
    x: Tensor, b: Tensor, y_x: Tensor, y_b: Tensor, given: Tensor, running: bool
) -> Tensor:
    """Send multipliers [rows, results] to elements [rows, elements]."""
    found = torch.zeros_like(x)
    n, k = x.shape[1], given.shape[1]
    width = max(1, _ELEMENTS // max(1, x.numel()))
    for first in range(0, k, width):
        part = slice(first, min(k, first + width))
        _, distance = _candidates(
            x.unsqueeze(1), b.unsqueeze(1), y_x[:, part].unsqueeze(2), y_b[:, part].unsqueeze(2)
        )
        if running:  # over what stands before
            later = torch.arange(n, device=x.device) > torch.arange(
                part.start, part.stop, device=x.device
            ).unsqueeze(1)
            distance = distance.masked_fill(later, math.inf)
        winner = distance.argmin(2)
        step = x.gather(1, winner) - b.gather(1, winner)
        share = _share(y_x[:, part] - y_b[:, part], step)
        found += sums_at(winner, given[:, part] * share, n)
    return found


def scattered_extremum(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """Extrema of what is scattered to the same place."""
    dtype, dim, index = multiplier.dtype, call["dim"], call["index"]
    if call["reduce"] not in ("amax", "amin") or call.depends("index"):
        raise _refusal(call, f"with reduce={call['reduce']!r} that depends on the inputs here")
    if call.depends("self") and call["include_self"]:
        raise _refusal(call, "with include_self=True, whose start depends on the inputs")
    result: dict[str, Any] = {}
    if call.depends("self"):
        result["self"] = multiplier.scatter(dim, index, torch.zeros_like(index, dtype=dtype))
    if not call.depends("src"):
        return result
    part = tuple(slice(0, size) for size in index.shape)
    x, b = (value[part] for value in pair(call, "src", dtype))
    y_x, y_b = (call.output(run).to(dtype).gather(dim, index) for run in (0, 1))
    fits, distance = _candidates(x, b, y_x, y_b)

    def first(values: Tensor, unknown: float) -> Tensor:
        start = torch.full_like(multiplier, unknown, dtype=values.dtype)
        best = start.scatter_reduce(dim, index, values, "amin", include_self=False)
        return values == best.gather(dim, index)

    sizes = [1] * x.dim()
    sizes[dim] = -1
    place = torch.arange(x.shape[dim], device=x.device).reshape(sizes).expand(x.shape)
    closest = first(distance, math.inf) & fits
    winner = closest & first(torch.where(closest, place, x.shape[dim]), 0)
    found = multiplier.gather(dim, index) * _share(y_x - y_b, x - b)
    source = x.new_zeros(call.shape("src"))
    source[part] = torch.where(winner, found, 0.0)
    return {**result, "src": source}


def _refusal(call: Call, which: str) -> UnsupportedOperationError:
    return UnsupportedOperationError(
        f"DeepLIFT has no rule for {call.node.op} {which}, at {call.node.where}"
    )
