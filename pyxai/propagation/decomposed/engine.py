"""Split the outputs of a traced model for many groups at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._errors import UnsupportedOperationError
from pyxai.propagation.decomposed.coverage import Coverage
from pyxai.propagation.decomposed.kinds import FROZEN, SOFTMAX, SPLIT, kinds_of
from pyxai.propagation.decomposed.policies import Policies
from pyxai.propagation.decomposed.split import ABSENT, Split
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
        self.table = DecompositionTable(self.kinds)
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

    def totals(self, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...], groups: int) -> Values:
        """Run the model on the examples of a pass, once for all their groups where that is right.

        Parameters
        ----------
        inputs : tuple of Tensor, shape [examples, *features]
        arguments : tuple
            Further arguments of the model, for these examples.
        groups : int
            How many groups the pass has; repeats the examples where arguments have rows too.
        """
        if not self._shares(arguments, len(inputs[0])):
            inputs, arguments = self._repeated(inputs, arguments, groups)
        return self.graph.run(inputs, arguments)

    def split(
        self,
        values: Values,
        masks: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        errors: dict[Node, float] | None = None,
    ) -> Parts:
        """Return the parts of the outputs.

        Parameters
        ----------
        values : Values
            What `totals` gave for these inputs and arguments.
        masks : tuple of Tensor, shape [examples, groups, *features]
            Which share of each feature is in the group, in the dtype of the model.
        inputs, arguments
            As for `totals`.
        errors : dict, optional
            Filled with how far the parts of each node are from its total.
        """
        n_examples, n_groups = masks[0].shape[:2]
        if not self.end.depends:
            total = values[self.end]
            return Parts(torch.zeros_like(total), total, None)
        growth = None
        if self._shares(arguments, n_examples):
            growth = self._growth = self._growth or batch_growth(self.graph, values, arguments)
        totals = Totals(self.graph, values, growth, n_examples, n_groups)
        _, arguments = self._repeated((), arguments, n_groups, n_examples)
        rows = tuple(mask.flatten(0, 1) for mask in masks)
        coverage = Coverage(self.kinds, totals, dict(zip(self.graph.inputs, rows, strict=True)))
        streams = None
        if self.has_streams:
            split = Split(self.policies, self.kinds, totals, None, coverage, of_biases=True)
            nothing = tuple(
                ABSENT if x.is_floating_point() else m for m, x in zip(rows, inputs, strict=True)
            )
            streams = self._run(split, nothing, arguments, keep_all=True)
        starts = tuple(
            mask * x.unsqueeze(1).to(mask.dtype) if x.is_floating_point() else mask
            for mask, x in zip(masks, inputs, strict=True)
        )
        split = Split(self.policies, self.kinds, totals, streams, coverage, errors=errors)
        found = self._run(split, tuple(each.flatten(0, 1) for each in starts), arguments)
        relevant = found[self.end]
        biases = None if streams is None or streams[self.end] is ABSENT else streams[self.end]
        return Parts(relevant, totals.full(self.end), biases)

    def _run(
        self,
        split: Split,
        starts: tuple[Any, ...],
        arguments: tuple[Any, ...],
        *,
        keep_all: bool = False,
    ) -> Values:
        end = self.end

        def keep(node: Node) -> bool:
            return keep_all or node is end or not node.depends

        return self.graph.run(
            starts,
            arguments,
            rules=self.table,
            start={**self._frozen, **{node: split.totals.full(node) for node in self._sizes}},
            targets=(end,),
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
