"""Infinite values of a model, read as large finite ones, so that there are differences from them.

A score of minus infinity at one end, and not at the other, has a multiplier of 0 and an infinite
change: what they make together is lost. With a large finite score in its place both are numbers,
and nothing else changes where the model's output does not.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pyxai.tracing import Call, Graph, Node, Rule, RuleTable, Values

__all__ = ["all_finite", "cut", "run_cut", "same_outputs"]

# Its exponential is infinite and that of its negative 0, and float16 holds it.
_LARGE = 3e4


def cut(value: Any) -> Any:
    """Return a value with infinities replaced; NaN stays."""
    if isinstance(value, (tuple, list)):
        return type(value)(cut(each) for each in value)
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.nan_to_num(nan=math.nan, posinf=_LARGE, neginf=-_LARGE)
    return value


def _computed(call: Call) -> Any:
    return cut(call.apply())


class _Cut(RuleTable):
    """Runs every op as it is, and cuts what it returns."""

    def rule_for(self, node: Node) -> Rule:
        return _computed


_TABLE = _Cut("values without infinities")


def run_cut(graph: Graph, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> Values:
    """Run a graph with no infinite value in it that depends on the inputs."""
    with torch.no_grad():
        return graph.run(inputs, arguments, rules=_TABLE)


def all_finite(parts: tuple[Tensor, ...]) -> bool:
    """Whether sums are finite, which they are not if an element is not."""
    return all(math.isfinite(part.sum().item()) for part in parts)


def same_outputs(output: Tensor, other: Tensor, seed: Tensor) -> bool:
    """Whether two outputs agree to rounding where they are explained."""
    chosen = seed != 0
    first, second = (torch.where(chosen, each, 0.0) for each in (output, other))
    near = 16 * torch.finfo(output.dtype).eps
    return torch.allclose(first, second, rtol=near, atol=near)
