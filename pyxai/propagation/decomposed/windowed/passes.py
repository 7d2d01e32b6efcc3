"""Parts of the outputs for groups of pixels of one image, in the windows that the groups reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from pyxai.propagation.decomposed.coverage import Coverage
from pyxai.propagation.decomposed.engine import DecompositionEngine, Parts
from pyxai.propagation.decomposed.split import Split, Terms
from pyxai.propagation.decomposed.totals import Totals
from pyxai.propagation.decomposed.windowed.plans import Part
from pyxai.propagation.decomposed.windowed.reads import WindowReads, WindowTotals, at_frame, local
from pyxai.propagation.decomposed.windowed.shares import Wholes, WindowShares
from pyxai.propagation.windows.crops import crops
from pyxai.propagation.windows.plan import Plan
from pyxai.propagation.windows.reading import Maps, Pass
from pyxai.propagation.windows.rules import Step
from pyxai.propagation.windows.spans import Frame
from pyxai.tracing import Call, Node, Run

__all__ = ["WindowedParts"]

# Ops that are linear and add no constant: what they do to an image they do to a part of it.
_LINEAR = frozenset({"avg_pool2d", "constant_pad_nd", "getitem"})


class WindowedParts:
    """One image, split for groups that lie in boxes.

    Parameters
    ----------
    engine : DecompositionEngine
        Without a part of biases, of a model of one image and no further arguments.
    x : Tensor, shape [1, channels, rows, columns]
    """

    def __init__(self, engine: DecompositionEngine, x: Tensor) -> None:
        self.engine = engine
        self.totals, parts, self._terms = engine.alone((x,))
        # Where only the shape of a value is read, nothing has a part.
        self._split = frozenset(node for node in engine.graph.nodes if parts[node] is not None)
        self._of_totals, self._of_nobody = Maps(self.totals), Maps(parts)
        self._wholes = Wholes(engine.graph, self.totals)

    def split(self, part: Part, which: slice, masks: Tensor) -> Parts:
        """Return the parts of the outputs.

        Parameters
        ----------
        part : Part
            Groups with a plan.
        which : slice
            Which of them.
        masks : Tensor, shape [n_groups, channels, rows, columns]
            Which share of each feature is in the group, 0 outside the box.
        """
        plan, rows, columns = part.plan, part.rows[which], part.columns[which]
        assert plan is not None
        parts = Pass(plan.frames, self._of_nobody, rows, columns)
        totals = Pass(plan.frames, self._of_totals, rows, columns)
        source = self.engine.graph.inputs[0]
        frame = plan.frames[source]
        top, left = frame.rows.start[rows], frame.columns.start[columns]
        each = np.arange(len(masks))
        own = crops(masks, top, left, frame.rows.size, frame.columns.size, each)
        parts.windows[source] = own * totals.around(at_frame(source, frame))
        shares = WindowShares(self.engine, plan, totals, own, self._wholes)
        for number, step in enumerate(plan.steps):
            if step.node not in self._split:
                continue
            parts.windows[step.node] = self._window(step, parts, totals, shares)
            for region in step.regions:
                if plan.last_use[region.node] == number:
                    parts.windows.pop(region.node, None)
        known = {
            region.node: parts.read(region)
            for region in plan.frontier
            if region.node in self._split
        }
        parts.windows.clear()

        def coverage(whole: Totals) -> Coverage:
            return _Continued(self.engine.kinds, whole, {source: masks}, shares, plan)

        return self.engine.continued(self.totals, known, coverage)

    def _window(self, step: Step, parts: Pass, totals: Pass, shares: WindowShares) -> Tensor:
        """Return the relevant parts of an op's windows."""
        reads = WindowReads(parts, step, self.totals)
        if step.node.op in _LINEAR:
            return step.compute([reads[region.node] for region in step.regions], self.totals)
        node = local(step.node)
        split = Split(
            self.engine.policies,
            self.engine.kinds,
            WindowTotals(totals, step),
            None,
            shares,
            hold=lambda index, compute: self._cut(index, step.frame, totals),
        )
        rule = self.engine.table.rule_for(step.node)
        assert rule is not None
        found = rule(Call(node, (reads,), {"split": split}))
        value: Tensor = found[0] if isinstance(found, tuple) else found
        return value

    def _cut(self, index: int, frame: Frame, at: Pass) -> Terms:
        """Return the windows of what `Split.terms` computed of whole maps."""
        top, left = frame.rows.start[at.rows], frame.columns.start[at.columns]
        total, size = (
            None if each is None else crops(each[0], top, left, frame.rows.size, frame.columns.size)
            for each in self._terms[index]
        )
        assert total is not None
        return total, size


class _Continued(Coverage):
    """Shares of what follows the windows, from those of the windows if they are asked for."""

    def __init__(
        self,
        kinds: Mapping[Node, str],
        totals: Totals,
        masks: Mapping[Node, Tensor],
        shares: WindowShares,
        plan: Plan,
    ) -> None:
        super().__init__(kinds, totals, masks)
        self._shares, self._plan = shares, plan

    def of_value(self, node: Node, constants: Run) -> Tensor:
        """Return the share of every element of a node's value, in the value's shape."""
        for region in self._plan.frontier:
            if region.node not in self.known:
                self.known[region.node] = self._shares.whole(region)
        return super().of_value(node, constants)
