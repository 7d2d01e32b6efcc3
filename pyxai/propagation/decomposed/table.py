"""Which op has which rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyxai.propagation.decomposed import affine, functions, norms, selections
from pyxai.propagation.decomposed.kinds import FROZEN, SOFTMAX
from pyxai.propagation.multipliers.rescale import ELEMENTWISE
from pyxai.tracing import BILINEAR, POSITIVE, STRUCTURAL, Call, Node, Rule, RuleTable
from pyxai.tracing.nodes import op_names

__all__ = ["DecompositionTable"]

# Functions of an axis or of two operands.
_FUNCTIONS = ELEMENTWISE | op_names(
    """_log_softmax atan2 copysign cumprod hypot lerp linalg_vector_norm logaddexp logaddexp2
    logsumexp pow prod remainder square std var xlogy"""
)
_RULES = RuleTable("contextual decomposition")
_RULES.add(affine.moved, STRUCTURAL | POSITIVE | {"neg", "scatter_add", "upsample_bicubic2d"})
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
    """The rules for one graph, of which some values are not split and need none."""

    def __init__(self, kinds: Mapping[Node, str]) -> None:
        super().__init__(_RULES.method)
        self.kinds = kinds

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if there is none."""
        if self.kinds.get(node) == FROZEN:
            return _frozen
        return _RULES.rule_for(node)
