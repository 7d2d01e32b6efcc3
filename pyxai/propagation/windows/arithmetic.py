"""How much a model, an op or a window of it computes, counted from shapes."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pyxai.tracing import Node
from pyxai.tracing.staleness import outputs_as_found

__all__ = ["MOVED", "STEP", "TRACED", "direct_work", "most_work", "multiplications", "rate"]

MOVED = 8.0
"""Multiplications in the time that one element is read and written."""

TRACED = 0.02
"""Seconds that it takes to trace a module."""
STEP = 1e-4
"""Seconds that it takes to call an op, its windows brought together."""

# The factor of a product whose last axis is summed over.
_SUMMED = {
    "addmm": "mat1", "addmv": "self", "baddbmm": "batch1", "bmm": "self", "dot": "self",
    "linear": "input", "matmul": "self", "mm": "self", "mv": "self",
}  # fmt: skip

_known: weakref.WeakKeyDictionary[nn.Module, dict[Any, float]] = weakref.WeakKeyDictionary()


def rate(device: torch.device) -> float:
    """Return how many multiplications a device does in a second, to a power of ten."""
    return 1e10 if device.type == "cpu" else 1e13


def multiplications(node: Node, shapes: Mapping[Node, tuple[int, ...]]) -> float:
    """Return the work of an op on one example: its products, and the elements that it writes."""
    elements = math.prod(shapes.get(node, (0,)))
    if node.op in _SUMMED:
        factor = shapes.get(node.args[_SUMMED[node.op]], ())
        return elements * float(factor[-1] if factor else 1)
    if node.op == "convolution":
        weight = shapes[node.args["weight"]]
        within = shapes[node.args["input"]] if node.args["transposed"] else shapes[node]
        return math.prod(weight) * float(math.prod(within[2:]))
    return MOVED * elements


def most_work(model: nn.Module, x: Tensor) -> float:
    """Return more products than a row takes in a net whose maps are no larger than the image."""
    places = math.prod(x.shape[2:])
    return float(places * sum(parameter.numel() for parameter in model.parameters()))


def direct_work(model: nn.Module, row: tuple[Tensor, ...]) -> float:
    """Return the products that a model computes of a row, counted once; 0 if it does not run."""
    known = _known.setdefault(model, {})
    key = tuple((each.shape, each.dtype) for each in row)
    if key not in known:
        counter = _Products()
        known[key] = 0.0
        with contextlib.suppress(Exception), counter:
            outputs_as_found(model, row, ())
            known[key] = counter.total
    return known[key]


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Count the multiplications of convolutions and matrix products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result) / 2
        return result
