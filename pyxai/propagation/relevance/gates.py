"""Factors of a product that say how much of a signal passes, and take no relevance themselves."""

from __future__ import annotations

from typing import Any

from pyxai.propagation.multipliers.rescale import BINARY, ELEMENTWISE
from pyxai.tracing import STRUCTURAL, Node, is_affine
from pyxai.tracing.nodes import op_names

__all__ = ["LOGIC", "SCALES", "WEIGHTS", "signals"]

# Answers yes or no; softshrink and hardshrink are made of them.
_COMPARISONS = op_names("eq ge gt le lt ne")
LOGIC = op_names("bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor")
_ANSWERS = op_names("all any bitwise_not isfinite isinf isnan logical_not") | _COMPARISONS | LOGIC
# With them a product is a division, which scales its numerator: a norm that a model spells out.
SCALES = op_names("reciprocal rsqrt") | _ANSWERS
# Weights between 0 and 1: of attention, and in the cells of recurrent layers.
WEIGHTS = op_names("_safe_softmax _softmax hardsigmoid sigmoid")
_SAME = op_names("_to_copy alias clone contiguous detach to")
_POINTWISE = (
    ELEMENTWISE | BINARY | _SAME | op_names("add masked_fill mul neg rsub square sub where")
)


def signals(node: Node, gates: frozenset[str]) -> tuple[str, ...]:
    """Return the operands of a product that share its relevance: all but gates, else all.

    Parameters
    ----------
    node : Node
        A product of operands that depend on the inputs.
    gates : frozenset of str
        Ops whose value is a gate, also after ops that move or scale it. Besides, a factor that is a
        function of the other one, element by element, is a gate: an activation spelled out, as in
        ``0.5 * x * (1 + tanh(...))``.
    """
    names = node.dependents()
    free = [n for n in names if not (_is_gate(node.args[n], gates) or _is_activation(node, n))]
    return tuple(free) or names


def _is_gate(node: Any, gates: frozenset[str]) -> bool:
    while isinstance(node, Node) and node.kind == "call":
        if node.op in gates or _is_inverse(node):
            return True
        if node.op not in STRUCTURAL and not _is_scaling(node):
            return False
        sources = [operand for operand in node.operands() if operand.depends]
        node = sources[0] if len(sources) == 1 else None
    return False


def _is_inverse(node: Node) -> bool:
    exponent = node.args.get("exponent") if node.op == "pow" else None
    return isinstance(exponent, (int, float)) and exponent < 0


def _is_scaling(node: Node) -> bool:
    """Whether an op multiplies one operand with constants."""
    return node.op in {"div", "mul", "neg"} and is_affine(node)


def _is_activation(node: Node, name: str) -> bool:
    others = [node.args[other] for other in node.dependents() if other != name]
    return node.op == "mul" and any(_follows(node.args[name], other) for other in others)


def _follows(factor: Node, signal: Node) -> bool:
    """Whether each element of a factor is a function of that of the signal, up to its scale."""
    sources = {signal}
    while signal.kind == "call" and (signal.op in _SAME or _is_scaling(signal)):
        signal = next(operand for operand in signal.operands() if operand.depends)
        sources.add(signal)
    waiting, seen = [factor], set(sources)
    while waiting:
        node = waiting.pop()
        if node in seen or not node.depends:
            continue
        if node.op not in _POINTWISE:
            return False
        seen.add(node)
        waiting += node.operands()
    return True
