"""Signs cleaned up after the sub-layers of a transformer: parts that disagree become one.

Where the relevant part and the rest have opposite signs, the larger gets their sum and the other
becomes 0, as the code of contextual decomposition for transformers has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pyxai.propagation.decomposed.kinds import SOFTMAX, SPLIT
from pyxai.propagation.decomposed.norms import NORMS
from pyxai.propagation.decomposed.split import ABSENT, split_of
from pyxai.tracing import Call, Graph, Node, Rule

__all__ = ["cleaned", "ends_of_sublayers"]


def ends_of_sublayers(graph: Graph, kinds: Mapping[Node, str], policy: str) -> frozenset[Node]:
    """Return the values after which signs are cleaned up.

    Parameters
    ----------
    graph : Graph
    kinds : dict
        Which values are split.
    policy : {"never", "sublayer", "layer"}
        A sub-layer ends where what it makes is added to what it reads, or with a norm that alone
        reads the sum. A layer ends with a sub-layer without attention.
    """
    found = set()
    for node in graph.nodes if policy != "never" else ():
        between = _sublayer(node, kinds)
        if between is None:
            continue
        if policy == "layer" and any(each.op in SOFTMAX for each in between):
            continue
        users = list(node.users)
        alone = len(users) == 1 and users[0].op in NORMS
        found.add(users[0] if alone else node)
    return frozenset(found)


def _sublayer(node: Node, kinds: Mapping[Node, str]) -> set[Node] | None:
    """Return the values between a sum and the earlier one of its addends, if that feeds both."""
    if node.op != "add" or "recurrent" in node.memory:
        return None
    addends = [each for each in node.operands() if kinds.get(each) == SPLIT]
    if len(addends) != 2 or addends[0] is addends[1]:
        return None
    skip, last = sorted(addends, key=lambda each: each.index)
    seen, stack, reached = {last}, [last], False
    while stack:
        for each in stack.pop().operands():
            reached = reached or each is skip
            if each.index > skip.index and each not in seen:
                seen.add(each)
                stack.append(each)
    return seen if reached else None


def cleaned(rule: Rule) -> Rule:
    """Return a rule that cleans up the signs of what another one gives."""

    def rule_and_signs(call: Call) -> Any:
        split, relevant = split_of(call), rule(call)
        if split.of_biases or relevant is ABSENT:
            return relevant
        both = split.output(call)
        if split.streams is not None and split.streams[call.node] is not ABSENT:
            both = both - split.streams[call.node]
        rest = both - relevant
        larger = torch.where(relevant.abs() >= rest.abs(), both, torch.zeros_like(both))
        return torch.where(relevant * rest < 0, larger, relevant)

    return rule_and_signs
