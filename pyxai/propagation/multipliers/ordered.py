"""Rules for ops that select the largest or smallest of several elements."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import sums_at
from pyxai.propagation.multipliers.secant import pair
from pyxai.tracing import Call

__all__ = ["EXTREMA", "POOLS", "extremum", "max_pool"]

POOLS = (
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
)
EXTREMA = ("amax", "amin", "max", "min")


def _shared_winner(
    x: Tensor, b: Tensor, y_x: Tensor, y_b: Tensor, at_x: Tensor, at_b: Tensor, lowest: bool
) -> tuple[Tensor, Tensor]:
    """Return which element explains the change of an extremum, and with which multiplier.

    All tensors but ``x`` and ``b`` [rows, elements] have shape [rows, windows]. If the maximum
    rises, the new winner rose by at least as much; if it falls, the old winner fell by at least
    as much. So that one element takes the change, with a multiplier in [0, 1].
    """
    rises = y_x >= y_b
    winner = torch.where(rises ^ lowest, at_x, at_b)
    step = x.gather(1, winner) - b.gather(1, winner)
    still = step == 0
    share = (y_x - y_b) / torch.where(still, torch.ones_like(step), step)
    return winner, torch.where(still, torch.ones_like(share), share)


def _spread(
    call: Call,
    multiplier: Tensor,
    x: Tensor,
    b: Tensor,
    indices: tuple[Tensor, Tensor],
    lowest: bool,
) -> Tensor:
    """Scatter multipliers of windows [rows, windows] to elements [rows, elements]."""
    y_x, y_b = x.gather(1, indices[0]), b.gather(1, indices[1])
    winner, share = _shared_winner(x, b, y_x, y_b, *indices, lowest)
    return sums_at(winner, multiplier * share, x.shape[1])


def max_pool(call: Call, multiplier: Any) -> dict[str, Tensor]:
    """Max pooling with any windows, overlapping ones too."""
    given: Tensor = multiplier[0]
    axes = 3 if "3d" in call.node.op else 2
    x, b = (value.flatten(-axes) for value in pair(call, "self", given.dtype))
    planes = x.shape[:-1]
    x, b = x.reshape(-1, x.shape[-1]), b.reshape(-1, b.shape[-1])
    rows = x.shape[0]
    at_x, at_b = (call.output(run)[1].reshape(rows, -1) for run in (0, 1))
    found = _spread(call, given.reshape(rows, -1), x, b, (at_x, at_b), False)
    return {"self": found.reshape(*planes, -1).reshape(call.shape("self"))}


def extremum(call: Call, multiplier: Any) -> dict[str, Tensor]:
    """Maximum or minimum over axes."""
    given: Tensor = multiplier[0] if isinstance(multiplier, list) else multiplier
    x, b = pair(call, "self", given.dtype)
    dims = call.node.args.get("dim")
    listed = [dims] if isinstance(dims, int) else list(dims or range(x.dim()))
    axes = [axis % x.dim() for axis in listed]
    others = [axis for axis in range(x.dim()) if axis not in axes]
    order = others + axes
    moved = [value.permute(order) for value in (x, b)]
    width = 1
    for axis in axes:
        width *= x.shape[axis]
    flat = [value.reshape(-1, width) for value in moved]
    lowest = call.node.op in ("all", "amin", "min")
    pick = torch.argmin if lowest else torch.argmax
    at_x, at_b = (pick(value, 1, keepdim=True) for value in flat)
    found = _spread(call, given.reshape(-1, 1), flat[0], flat[1], (at_x, at_b), lowest)
    inverse = [order.index(axis) for axis in range(x.dim())]
    return {"self": found.reshape(moved[0].shape).permute(inverse)}
