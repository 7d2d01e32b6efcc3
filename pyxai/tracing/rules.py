"""Tables of rules: what one method does with each op, and what happens when it has no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyxai._errors import UnsupportedOperationError, warn
from pyxai.tracing.nodes import Node

__all__ = ["Rule", "RuleTable"]

Rule = Callable[..., Any]
"""Forward rules are called as ``rule(call)``, backward rules as ``rule(call, relevance)``."""


class RuleTable:
    """The rules of one method, by op name.

    A *forward* rule takes a :class:`~pyxai.tracing.Call` and returns the op's value. A *backward*
    rule takes the call and the relevance of its value and returns a dict from argument name to
    the relevance of that argument, for every argument that depends on an attributed input.

    Parameters
    ----------
    method : str
        Name of the method, for messages.
    fallback : Rule, optional
        Used for ops without a rule when ``strict=False``; the gradient of the op as a rule.

    Examples
    --------
    >>> table = RuleTable("Guided Backprop")
    >>> @table.register("relu")
    ... def relu(call, relevance):
    ...     return {"self": relevance.clamp(min=0) * (call["self"] > 0)}
    """

    def __init__(self, method: str, *, fallback: Rule | None = None) -> None:
        self.method = method
        self.fallback = fallback
        self._rules: dict[str, Rule] = {}

    def register(self, *ops: str) -> Callable[[Rule], Rule]:
        """Return a decorator that enters a rule for each of ``ops``."""

        def enter(rule: Rule) -> Rule:
            self.add(rule, ops)
            return rule

        return enter

    def add(self, rule: Rule, ops: Iterable[str]) -> None:
        """Enter one rule for each of ``ops``, replacing an earlier one."""
        for op in ops:
            self._rules[op] = rule

    def extended(self, method: str | None = None) -> RuleTable:
        """Return a copy to which rules can be added without changing this table."""
        copy = type(self)(method or self.method, fallback=self.fallback)
        copy._rules.update(self._rules)
        return copy

    def __contains__(self, op: str) -> bool:
        return op in self._rules

    @property
    def ops(self) -> tuple[str, ...]:
        """Names of the ops that have a rule, sorted."""
        return tuple(sorted(self._rules))

    def rule_named(self, op: str) -> Rule:
        """Return the rule of an op that has one."""
        return self._rules[op]

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if there is none. Methods may override this."""
        return self._rules.get(node.op)

    def resolve(self, nodes: Iterable[Node], *, strict: bool = True) -> dict[Node, Rule]:
        """Return the rule of each node, or say which nodes have none.

        Parameters
        ----------
        nodes : iterable of Node
            Nodes that the method will pass.
        strict : bool
            Whether an op without a rule is an error; otherwise the fallback stands in and one
            warning names the ops.

        Raises
        ------
        UnsupportedOperationError
            If an op has no rule and ``strict`` or there is no fallback.
        """
        rules: dict[Node, Rule] = {}
        missing: dict[str, Node] = {}
        for node in nodes:
            rule = self.rule_for(node)
            if rule is None:
                missing.setdefault(node.op, node)
                rule = self.fallback
            if rule is not None:
                rules[node] = rule
        if missing:
            self._report(list(missing.values()), strict)
        return rules

    def _report(self, missing: list[Node], strict: bool) -> None:
        listed = "; ".join(f"{node.op} at {node.where}" for node in missing)
        if strict or self.fallback is None:
            hint = "" if self.fallback is None else "; strict=False uses its gradient instead"
            random = {"native_dropout", "dropout", "bernoulli", "rand", "rand_like", "rrelu"}
            if any(node.op in random or "batch_norm" in node.op for node in missing):
                hint += "; dropout and batch norm have rules in eval mode, call model.eval() first"
            raise UnsupportedOperationError(f"{self.method} has no rule for {listed}{hint}")
        warn(
            f"{self.method} has no rule for {listed}: their gradients were used instead, "
            "completeness is not guaranteed",
        )
