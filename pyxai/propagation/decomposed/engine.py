"""Split the outputs of a traced model for many groups at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.decomposed.coverage import Coverage
from pyxai.propagation.decomposed.kinds import FROZEN, SOFTMAX, SPLIT, kinds_of
from pyxai.propagation.decomposed.policies import Policies
from pyxai.propagation.decomposed.prefix import Known, rows_first, rows_in_place
from pyxai.propagation.decomposed.split import ABSENT, Split, Terms
from pyxai.propagation.decomposed.table import DecompositionTable
from pyxai.propagation.decomposed.totals import Growth, Totals
from pyxai.runner.arguments import follows, take_arguments
from pyxai.tracing import Graph, Node, Values, batch_growth

__all__ = ["DecompositionEngine", "NodeError", "Parts"]


class Parts(NamedTuple):
    """Outputs of a pass, [rows, *outputs] each; ``biases`` is None where nothing goes there."""

    relevant: Tensor
    totals: Tensor
    biases: Tensor | None


class NodeError(NamedTuple):
    """How far the parts of an op's value are from its total."""

    op: str
    where: str
    """Line of the model's code, and module."""
    error: float
    """Largest absolute difference, in units of the value."""


class DecompositionEngine:
    """One graph, split by one set of policies.

    Parameters
    ----------
    graph : Graph
        The traced model. A softmax or log softmax that is its last op is left out: its input is
        what is split.
    policies : Policies
    floating : sequence of bool
        Of each input, whether it holds numbers; otherwise words for an embedding.

    Raises
    ------
    UnsupportedOperationError
        If an op has no rule; the message names it and its source line.
    """

    def __init__(self, graph: Graph, policies: Policies, floating: Sequence[bool]) -> None:
        self.graph, self.policies = graph, policies
        last = graph.output
        self.end = last.args["self"] if last.op in SOFTMAX | {"_log_softmax"} else last
        self.kinds = kinds_of(graph, policies, floating)
        self.table = DecompositionTable(graph, self.kinds, policies)
        graph.check(self.table)
        frozen = (node for node, kind in self.kinds.items() if kind == FROZEN)
        self._frozen = dict.fromkeys(frozen, ABSENT)
        recurrent = any("recurrent" in node.memory for node in graph.nodes)
        self.has_streams = policies.bias == "stream" or recurrent
        # Sizes, and what is made like a value: the total has them.
        self._sizes = tuple(
            node
            for node in graph.nodes
            if node.kind == "call"
            and not node.depends
            and any(operand.depends for operand in node.operands())
        )
        self._growth: Growth | None = None
        if self.end.depends and self.kinds[self.end] != SPLIT:
            raise UnsupportedOperationError(
                f"contextual decomposition has no rule for a model whose output is made by "
                f"{self.end.op} at {self.end.where}: it is no sum of parts of the inputs"
            )

    @property
    def whole_batch(self) -> bool:
        """Whether the batch must go through as it is, one group at a time."""
        graph, program = self.graph, self.graph.program
        return not (graph.batch_is_free and program.rows_apart and program.accepts(1))

    def totals(
        self,
        inputs: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        groups: int,
        known: Mapping[Node, Known] | None = None,
    ) -> Values:
        """Run the model on the examples of a pass, once for all their groups where that is right.

        Parameters
        ----------
        inputs : tuple of Tensor, shape [examples, *features]
        arguments : tuple
            Further arguments of the model, for these examples.
        groups : int
            How many groups the pass has; repeats the examples where arguments have rows too.
        known : dict, optional
            Values that `known` gave; what only leads to them is not computed.
        """
        if not self._shares(arguments, len(inputs[0])):
            inputs, arguments = self._repeated(inputs, arguments, groups)
        if known is None:
            return self.graph.run(inputs, arguments)
        values, states = Values(len(self.graph.nodes)), self.graph.states()
        for node, tensor in (*zip(self.graph.inputs, inputs, strict=True), *states.items()):
            values[node] = tensor
        self._growth = batch_growth(self.graph, values, arguments)
        start = {node: self._in_place(node, each.total) for node, each in known.items()}
        return self.graph.run(inputs, arguments, start=start)

    def split(
        self,
        values: Values,
        masks: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        errors: dict[Node, float] | None = None,
        known: Mapping[Node, Known] | None = None,
        starts: tuple[Tensor, ...] | None = None,
    ) -> Parts:
        """Return the parts of the outputs.

        Parameters
        ----------
        values : Values
            What `totals` gave for these inputs and arguments.
        masks : tuple of Tensor, shape [examples, groups, *features]
            Which share of each feature is in the group, in the dtype of the model.
        inputs, arguments, known
            As for `totals`.
        errors : dict, optional
            Filled with how far the parts of each node are from its total.
        starts : tuple of Tensor, shape [examples, groups, *features], optional
            Relevant parts of the inputs; default: masks times inputs.
        """
        if not self.end.depends:
            total = values[self.end]
            return Parts(torch.zeros_like(total), total, None)
        split = self._prepared(values, masks, arguments, known)
        split.errors = errors
        _, arguments = self._repeated((), arguments, masks[0].shape[1], len(masks[0]))
        if self.has_streams:
            nothing = tuple(
                ABSENT if x.is_floating_point() else mask.flatten(0, 1)
                for mask, x in zip(masks, inputs, strict=True)
            )
            of_biases = replace(split, of_biases=True, errors=None)
            split.streams = self._run(of_biases, nothing, arguments, keep_all=True)
        parts = {
            node: self._in_place(node, each.part.flatten(0, 1))
            for node, each in (known or {}).items()
            if each.part is not None
        }
        rows = _starts(masks, inputs) if starts is None else _rows(starts)
        found = self._run(split, rows, arguments, known=parts)
        streams = split.streams
        biases = None if streams is None or streams[self.end] is ABSENT else streams[self.end]
        return Parts(found[self.end], split.totals.full(self.end), biases)

    def alone(self, inputs: tuple[Tensor, ...]) -> tuple[Values, Values, dict[int, Terms]]:
        """Split all values of one example for an empty group, without a part of biases.

        Returns
        -------
        totals, parts : Values
            Ordinary values, and the relevant parts, which are 0 where the policies give nothing to
            nobody.
        terms : dict
            What `Split.terms` computes for them.
        """
        masks = tuple(torch.zeros_like(x).unsqueeze(1) for x in inputs)
        totals = self.totals(inputs, (), 1)
        split = self._prepared(totals, masks, (), None)
        terms: dict[int, Terms] = {}

        def hold(index: int, compute: Callable[[], Terms]) -> Terms:
            terms[index] = compute()
            return terms[index]

        split.hold = hold
        parts = self._run(split, _starts(masks, inputs), (), keep_all=True)
        return totals, parts, terms

    def continued(
        self, values: Values, known: dict[Node, Tensor], coverage: Callable[[Totals], Coverage]
    ) -> Parts:
        """Return the parts of the outputs of one example, from parts of values inside the model.

        Parameters
        ----------
        values : Values
            Ordinary values of the example.
        known : dict of Node to Tensor, shape [groups, *features]
            Relevant parts.
        coverage : callable
            Makes the shares of the groups.
        """
        (x,), n_groups = (
            (values[node] for node in self.graph.inputs),
            len(next(iter(known.values()))),
        )
        growth = batch_growth(self.graph, values, ())
        totals = Totals(self.graph, values, growth, 1, n_groups)
        split = Split(self.policies, self.kinds, totals, None, coverage(totals))
        nothing = x.new_full((), torch.nan).expand(n_groups, *x.shape[1:])
        found = self._run(split, (nothing,), (), known=known)
        return Parts(found[self.end], totals.full(self.end), None)

    def known(
        self, nodes: tuple[Node, ...], masks: tuple[Tensor, ...], inputs: tuple[Tensor, ...]
    ) -> dict[Node, Known]:
        """Split values inside the model, to start from them later.

        Parameters
        ----------
        nodes : tuple of Node
            Values, such as those of `frozen_end`.
        masks, inputs
            As for `split`; the model has no further arguments, and biases have no part of their
            own.
        """
        values = self.totals(inputs, (), masks[0].shape[1])
        split = self._prepared(values, masks, (), None)
        found = self._run(split, _starts(masks, inputs), (), targets=nodes)
        growth, n_groups = batch_growth(self.graph, values, ()), masks[0].shape[1]

        def of_groups(value: Tensor, node: Node) -> Tensor:
            rows = rows_first(value, node, growth)
            return rows.view(-1, n_groups, *rows.shape[1:])

        result = {}
        for node in nodes:
            part = share = None
            if self.kinds[node] != FROZEN:
                part = of_groups(found[node], node)
                if self.policies.ties == "coverage":
                    share = of_groups(split.coverage.of_value(node, found), node)
            result[node] = Known(rows_first(values[node], node, growth), part, share)
        return result

    def _prepared(
        self,
        values: Values,
        masks: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        known: Mapping[Node, Known] | None,
    ) -> Split:
        """Return the pass for the relevant parts of these groups."""
        n_examples, n_groups = masks[0].shape[:2]
        growth = None
        if self._shares(arguments, n_examples):
            growth = self._growth = self._growth or batch_growth(self.graph, values, arguments)
        totals = Totals(self.graph, values, growth, n_examples, n_groups)
        rows = (mask.flatten(0, 1) for mask in masks)
        shares = {
            node: self._in_place(node, each.share.flatten(0, 1))
            for node, each in (known or {}).items()
            if each.share is not None
        }
        starts = dict(zip(self.graph.inputs, rows, strict=True))
        coverage = Coverage(self.kinds, totals, starts, shares)
        return Split(self.policies, self.kinds, totals, None, coverage)

    def _in_place(self, node: Node, rows: Tensor) -> Tensor:
        assert self._growth is not None
        return rows_in_place(rows, node, self._growth)

    def _run(
        self,
        split: Split,
        starts: tuple[Any, ...],
        arguments: tuple[Any, ...],
        *,
        keep_all: bool = False,
        known: Mapping[Node, Tensor] | None = None,
        targets: tuple[Node, ...] = (),
    ) -> Values:
        wanted = targets or (self.end,)
        sizes = {node: split.totals.full(node) for node in self._sizes if split.totals.has(node)}

        def keep(node: Node) -> bool:
            return keep_all or node in wanted or not node.depends

        return self.graph.run(
            starts,
            arguments,
            rules=self.table,
            start={**self._frozen, **sizes, **(known or {})},
            targets=wanted,
            keep=keep,
            options={"split": split},
        )

    def _shares(self, arguments: tuple[Any, ...], batch: int) -> bool:
        """Whether one row of totals serves all groups of an example."""
        leaves = pytree.tree_leaves(arguments)
        return not self.whole_batch and not any(follows(leaf, batch) for leaf in leaves)

    def _repeated(
        self,
        inputs: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        groups: int,
        examples: int | None = None,
    ) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
        if groups == 1:
            return inputs, arguments
        count = len(inputs[0]) if examples is None else examples
        rows = torch.arange(count).repeat_interleave(groups)
        given = tuple(each[rows.to(each.device)] for each in inputs)
        return given, take_arguments(arguments, rows, count)


def _rows(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.flatten(0, 1) for each in values)


def _starts(masks: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the relevant part of each input: the group's features, or which words it has."""
    return tuple(
        (mask * x.unsqueeze(1).to(mask.dtype) if x.is_floating_point() else mask).flatten(0, 1)
        for mask, x in zip(masks, inputs, strict=True)
    )
