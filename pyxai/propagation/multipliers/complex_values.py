"""Rules between the ops that take or return complex values, as those of Fourier transforms.

A complex value counts as its two real parts: its multiplier ``m`` is complex, and what it adds is
``Re(conj(m) dz)``. Then Fourier transforms and products with constants are linear, and transposed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai.tracing import BILINEAR, Call, Node, Rule, RuleTable, is_affine

__all__ = ["ComplexRules", "is_square"]


class ComplexRules(RuleTable):
    """A table of real rules, and those of ops that take or return complex values."""

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if there is none."""
        if not node.touches_complex():
            return super().rule_for(node)
        if is_affine(node):
            return self.adapted(transposed)
        if node.op == "abs":
            return self.adapted(magnitude)
        if node.op in BILINEAR or is_square(node):
            return self.adapted(product)
        return None

    def adapted(self, rule: Rule) -> Rule:
        """Return a rule for what this table's multipliers are."""
        return rule


def is_square(node: Node) -> bool:
    """Whether an op squares its operand."""
    return node.op == "square" or (node.op == "pow" and node.args["exponent"] == 2)


def transposed(call: Call, multiplier: Any) -> dict[str, Any]:
    """Transpose an op that is linear in what moves."""
    return call.transpose(multiplier)


def product(call: Call, multiplier: Any) -> dict[str, Any]:
    """Take the gradient in the middle, which completes polynomials of degree two."""
    ends = {name: (call.get(name, 0), call.get(name, 1)) for name in call.dependents()}
    middle: dict[str, Any] = {name: (x + b) / 2 for name, (x, b) in ends.items()}
    return call.vjp(multiplier, **middle)


def magnitude(call: Call, multiplier: Tensor) -> dict[str, Any]:
    """``|x| - |b| = Re(conj(x + b) (x - b)) / (|x| + |b|)``."""
    dtype = multiplier.dtype.to_complex()
    x, b = call.get("self", 0).to(dtype), call.get("self", 1).to(dtype)
    total = x.abs() + b.abs()
    slope = (x + b) / torch.where(total == 0, torch.ones_like(total), total)
    return {"self": multiplier * slope}
