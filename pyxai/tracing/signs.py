"""Which values of a model can never be negative, whatever its inputs."""

from __future__ import annotations

from typing import Any

from pyxai.tracing.nodes import Node, op_names

__all__ = ["is_nonnegative"]

_NEVER_NEGATIVE = op_names(
    "_safe_softmax _softmax abs exp hardsigmoid relu sigmoid softplus sqrt square"
)
# Ops whose results are elements, maxima, means, sums or products of their operands.
_KEEP = op_names(
    """_adaptive_avg_pool2d _adaptive_avg_pool3d _reshape_alias _to_copy _unsafe_view add alias
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d amax avg_pool1d avg_pool2d avg_pool3d cat clone
    constant_pad_nd contiguous copy detach dropout expand flatten getitem max_pool1d max_pool2d
    max_pool2d_with_indices max_pool3d max_pool3d_with_indices mean mul permute repeat reshape
    select slice split squeeze stack sum t to transpose unsqueeze view"""
)
_NUMBERS = ("alpha", "other", "value")  # arguments that come into the result


def is_nonnegative(node: Node) -> bool:
    """Whether every element of a node's value is at least 0; False where that is not known."""
    if "nonnegative" not in node.memory:
        node.memory["nonnegative"] = node.kind == "call" and _is_nonnegative(node)
    return bool(node.memory["nonnegative"])


def _is_nonnegative(node: Node) -> bool:
    if node.op in _NEVER_NEGATIVE:
        return True
    if node.op in ("clamp", "clamp_min", "hardtanh"):
        return _at_least_zero(node.args.get("min_val" if node.op == "hardtanh" else "min"))
    if node.op not in _KEEP:
        return False
    numbers = [node.args[name] for name in _NUMBERS if name in node.args]
    numbers = [value for value in numbers if not isinstance(value, Node) and value is not None]
    sources = list(node.operands())
    return bool(sources) and all(map(_at_least_zero, numbers)) and all(map(is_nonnegative, sources))


def _at_least_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value >= 0
