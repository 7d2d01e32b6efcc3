"""Which op has which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyxai.propagation.decomposed import affine, functions, norms, selections
from pyxai.propagation.decomposed.clean_up import cleaned, ends_of_sublayers
from pyxai.propagation.decomposed.kinds import FROZEN, SOFTMAX
from pyxai.propagation.decomposed.policies import Policies
from pyxai.propagation.decomposed.split import split_of
from pyxai.propagation.multipliers.rescale import ELEMENTWISE
from pyxai.tracing import (
    BILINEAR,
    LINEAR_MAPS,
    POSITIVE,
    STRUCTURAL,
    Call,
    Graph,
    Node,
    Rule,
    RuleTable,
)
from pyxai.tracing.nodes import op_names

__all__ = ["DecompositionTable"]

# Functions of an axis or of two operands.
_FUNCTIONS = ELEMENTWISE | op_names(
    """_log_softmax atan2 copysign cumprod floor_divide fmod heaviside hypot igamma igammac ldexp
    lerp linalg_vector_norm logaddexp logaddexp2 logcumsumexp logsumexp pow prod remainder
    special_xlog1py special_zeta square std var xlogy"""
)
_RULES = RuleTable("contextual decomposition")
_RULES.add(affine.moved, STRUCTURAL | POSITIVE | {"neg", "scatter_add", "upsample_bicubic2d"})
_RULES.add(affine.mapped, LINEAR_MAPS)
_RULES.add(affine.summed, ("add", "sub", "rsub"))
_RULES.add(affine.bilinear, BILINEAR)
_RULES.add(affine.divided, ("div",))
_RULES.add(affine.batch_norm, ("_native_batch_norm_legit_no_training",))
_RULES.add(affine.embedding, ("embedding",))
_RULES.add(functions.function, _FUNCTIONS)
_RULES.add(functions.softmax, SOFTMAX)
_RULES.add(norms.norm, norms.NORMS)
_RULES.add(selections.pool, selections.POOLS)
_RULES.add(selections.extremum, selections.EXTREMA)
_RULES.add(selections.ordered, selections.ORDERED)
_RULES.add(selections.winner, selections.WINNERS)


def _frozen(call: Call) -> Any:
    raise AssertionError("a frozen value is not computed")


class DecompositionTable(RuleTable):
    """The rules for one graph, of which some values are not split and need none.

    Parameters
    ----------
    graph : Graph
    kinds : dict
        Which values are split.
    policies : Policies
    """

    def __init__(self, graph: Graph, kinds: Mapping[Node, str], policies: Policies) -> None:
        super().__init__(_RULES.method)
        self.kinds = kinds
        self.ends = ends_of_sublayers(graph, kinds, policies.clean_up)
        self.renews = policies.gates == "shapley"

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if there is none."""
        if self.kinds.get(node) == FROZEN:
            return _frozen
        rule = _RULES.rule_for(node)
        if rule is None:
            return None
        if self.renews and "recurrent" in node.memory:
            rule = _renewing(rule)
        return cleaned(rule) if node in self.ends else rule


def _renewing(rule: Rule) -> Rule:
    """Return a rule that computes the part of biases anew, which depends on the others here."""

    def rule_and_stream(call: Call) -> Any:
        split = split_of(call)
        found = rule(call)
        if not split.of_biases and split.streams is not None and call.node.op not in _FUNCTIONS:
            alone = replace(split, of_biases=True, streams=None)
            again = Call(call.node, (split.streams,), {**call.options, "split": alone})
            split.streams[call.node] = rule(again)
        return found

    return rule_and_stream
