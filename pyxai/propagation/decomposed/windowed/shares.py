"""Shares of groups in what windows read, computed where a tie asks for them."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.propagation.decomposed.coverage import Coverage
from pyxai.propagation.decomposed.engine import DecompositionEngine
from pyxai.propagation.decomposed.selections import picks
from pyxai.propagation.decomposed.windowed.reads import WindowReads, WindowTotals, at_frame, local
from pyxai.propagation.windows.plan import Plan
from pyxai.propagation.windows.reading import Maps, Pass
from pyxai.propagation.windows.rules import Step
from pyxai.propagation.windows.spans import Region
from pyxai.tracing import Call, Graph, Node, Run, Values

__all__ = ["Wholes", "WindowShares"]


class Wholes:
    """How much each sum of a convolution or a mean reads of the whole image.

    Parameters
    ----------
    graph : Graph
    values : Values
        Those of one example.
    """

    def __init__(self, graph: Graph, values: Values) -> None:
        self._values = values
        self._known: dict[Node, Tensor] = {}

    def __getitem__(self, node: Node) -> Tensor:
        if node not in self._known:
            self._known[node] = self.summed(node, None)
        return self._known[node]

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value."""
        return self[node].shape

    def summed(self, node: Node, share: Tensor | None) -> Tensor:
        """Return what sums read that have a share of each place; None: of a whole image."""
        name = "input" if node.op == "convolution" else "self"
        call = Call(node, (self._values,))
        given = torch.ones_like(call[name]) if share is None else share
        replaced: dict[str, object] = {name: given}
        if node.op == "convolution":
            replaced.update(weight=(call["weight"] != 0).to(given.dtype), bias=None)
        found: Tensor = call.apply(**replaced)
        return found


class _Nothing:
    """The shares of an empty group: 0 everywhere."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def __getitem__(self, node: Node) -> Tensor:
        return torch.zeros_like(self._values[node])

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value."""
        return self._values.shape(node)


class WindowShares:
    """Shares of the groups of one pass, in their windows.

    Parameters
    ----------
    engine : DecompositionEngine
    plan : Plan
    totals : Pass
        Ordinary values, without windows.
    own : Tensor, shape [n_groups, channels, height, width]
        Shares of the input's windows.
    wholes : Wholes
    """

    def __init__(
        self,
        engine: DecompositionEngine,
        plan: Plan,
        totals: Pass,
        own: Tensor,
        wholes: Wholes,
    ) -> None:
        self._engine, self._plan, self._totals, self._wholes = engine, plan, totals, wholes
        self._values = wholes._values
        self._at = Pass(plan.frames, Maps(_Nothing(self._values)), totals.rows, totals.columns)
        self._at.windows[engine.graph.inputs[0]] = own
        self.of_constants = own.new_zeros(len(own))  # no group has all features

    def of_value(self, node: Node, constants: Run) -> Tensor:
        """Return the share of every element of an op's windows."""
        for step in self._plan.steps:
            if step.node not in self._at.windows and step.node.index <= node.index:
                self._at.windows[step.node] = self._share(step)
            if step.node.index == node.index:
                return self._at.windows[step.node]
        raise AssertionError("only ops that have windows ask")

    def of_step(self, node: Node, policy: str, constants: Run) -> Tensor | float:
        """Refuse: there are no recurrent steps on maps."""
        raise AssertionError("a recurrent step has no windows")

    def whole(self, region: Region) -> Tensor:
        """Return the shares of a whole map."""
        if region.node not in self._at.windows:
            self.of_value(region.node, self._values)
        return self._at.read(region)

    def _share(self, step: Step) -> Tensor:
        op, node = step.node.op, local(step.node)
        reads = WindowReads(self._at, step, self._values)
        totals = WindowTotals(self._totals, step)
        if op in ("getitem", "constant_pad_nd"):
            alike: Tensor = reads[step.regions[0].node]
            return alike
        if op in ("convolution", "avg_pool2d"):
            return self._mean_of_terms(step, reads[step.regions[0].node])
        call = Call(node, (reads,))
        if op == "max_pool2d_with_indices":
            source = step.regions[0].node
            return picks(call, totals.lean(source))(reads[source])
        masks = {each: reads[each] for each in step.node.operands() if each.depends}
        coverage = Coverage(self._engine.kinds, totals, masks)
        coverage.of_constants, coverage.constants = self.of_constants, reads
        found: Tensor = coverage.share(call)
        return found

    def _mean_of_terms(self, step: Step, share: Tensor) -> Tensor:
        """Return the mean of what a sum reads, 0 where that is nothing."""
        if step.node.op == "convolution":
            part = self._wholes.summed(local(step.node), share)
        else:
            part = step.compute([share], self._values)
        region = at_frame(step.node, step.frame)
        everything = Pass(self._plan.frames, Maps(self._wholes), self._at.rows, self._at.columns)
        whole = everything.around(region)
        nobody = whole == 0
        return torch.where(nobody, 0.0, part / whole.masked_fill(nobody, 1))
