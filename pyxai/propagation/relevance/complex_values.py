"""LRP between the ops that take or return complex values: one linear map.

From the real values that leave complex ones, back to the real values that enter them, what travels
is not relevance but its quotient by values, ``s`` of the epsilon rule: so all the ops on the way
are one layer, and a part of a spectrum that is 0 takes nothing.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.propagation.multipliers.complex_values import is_square
from pyxai.propagation.relevance.rules import stabilized_divide, times
from pyxai.tracing import BILINEAR, Call, Node, Rule, RuleTable, is_affine

__all__ = ["ComplexRelevance"]


class ComplexRelevance(RuleTable):
    """A table of real rules, and that of ops that take or return complex values."""

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if there is none."""
        if not node.touches_complex():
            return super().rule_for(node)
        return spectral if is_affine(node) or _degree(node) else None


def _degree(node: Node) -> int:
    """Return the degree of a homogeneous function, 0 for others."""
    if node.op == "abs":
        return 1
    if node.op in BILINEAR:
        return len(node.dependents())
    return 2 if is_square(node) else 0


def spectral(call: Call, relevance: Any) -> dict[str, Any]:
    """Send ``s`` back; real operands get relevance, ``h J' s``."""
    node, s = call.node, relevance
    if not node.is_complex:
        z = call.output().to(relevance.dtype)
        s = stabilized_divide(relevance, z, call.options["epsilon"])
    parts = call.transpose(s) if is_affine(node) else call.vjp(s / _degree(node))
    return {name: _arrived(node.args[name], parts[name], call[name]) for name in parts}


def _arrived(source: Any, slope: Any, h: Any) -> Any:
    if isinstance(source, (list, tuple)):
        return [_arrived(*each) for each in zip(source, slope, h, strict=True)]
    if not isinstance(source, Node) or slope is None or source.is_complex:
        return slope
    found: Tensor = times(h.to(slope.dtype), slope)
    return found
