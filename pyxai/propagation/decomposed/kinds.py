"""Which values of a traced model are split, which are words, and which are left whole."""

from __future__ import annotations

from collections.abc import Sequence

from pyxai.propagation.decomposed.policies import Policies
from pyxai.tracing import STRUCTURAL, Graph, Node
from pyxai.tracing.nodes import op_names

__all__ = ["FROZEN", "SOFTMAX", "SPLIT", "WORDS", "kinds_of"]

SPLIT = "split"  # a sum of parts
WORDS = "words"  # whole numbers that stand for something, of which a group has some
FROZEN = "frozen"  # where it is used the total stands, like a constant

# Answers yes or no, or a place: nothing that could be a sum of parts.
_ANSWERS = op_names(
    """all any argmax argmin argsort bucketize eq ge gt isfinite isinf isnan le logical_and
    logical_not logical_or logical_xor lt ne"""
)
SOFTMAX = op_names("_safe_softmax _softmax")
# What a value is divided by: the sum of a softmax, the deviation of a norm that is spelled out.
_DENOMINATORS = SOFTMAX | {"rsqrt"}
# Ops that return values and where they were found.
_WITH_PLACES = op_names(
    """adaptive_max_pool2d adaptive_max_pool3d cummax cummin kthvalue max max_pool2d_with_indices
    max_pool3d_with_indices median min nanmedian sort topk"""
)


def kinds_of(graph: Graph, policies: Policies, floating: Sequence[bool]) -> dict[Node, str]:
    """Return the kind of every value that depends on an attributed input.

    Parameters
    ----------
    graph : Graph
    policies : Policies
        Whether a softmax is split.
    floating : sequence of bool
        Of each input, whether it holds numbers rather than words.
    """
    kinds = {
        node: SPLIT if numbers else WORDS
        for node, numbers in zip(graph.inputs, floating, strict=True)
    }
    for node in graph.nodes:
        if node.kind == "call" and node.depends:
            kinds[node] = _kind(node, {kinds[each] for each in node.operands() if each.depends})
            if _is_gate(node, policies) and node is not graph.output:
                kinds[node] = FROZEN
    return kinds


def _is_gate(node: Node, policies: Policies) -> bool:
    role = node.memory.get("recurrent")
    output_gate = role is not None and role.kind == "output_gate"
    return (output_gate and policies.output_gate == "freeze") or (
        node.op in _DENOMINATORS and policies.softmax == "freeze"
    )


def _kind(node: Node, sources: set[str]) -> str:
    if node.op in _ANSWERS:
        return FROZEN
    if node.op == "getitem":
        places = node.args["0"].op in _WITH_PLACES and node.args["1"] == 1
        return FROZEN if places else next(iter(sources))
    cast = node.op in ("_to_copy", "to") and node.args.get("dtype") is not None
    if SPLIT in sources:  # whole numbers are steps, and no sum of parts
        return FROZEN if cast and not _to_numbers(node) else SPLIT
    if sources == {WORDS}:
        if node.op in ("embedding", "_to_copy", "to"):
            return SPLIT if node.op == "embedding" or _to_numbers(node) else WORDS
        return WORDS if node.op in STRUCTURAL else FROZEN
    return FROZEN


def _to_numbers(node: Node) -> bool:
    dtype = node.args.get("dtype")
    return dtype is not None and bool(dtype.is_floating_point or dtype.is_complex)
