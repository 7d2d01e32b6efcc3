"""Which ops have windows of parts, and which groups are computed in which windows."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pyxai.propagation.decomposed.engine import DecompositionEngine
from pyxai.propagation.decomposed.kinds import SPLIT
from pyxai.propagation.decomposed.policies import Policies
from pyxai.propagation.multipliers.rescale import ELEMENTWISE
from pyxai.propagation.windows.arithmetic import MOVED
from pyxai.propagation.windows.plan import Plan, plan_windows, whole_work
from pyxai.propagation.windows.rules import WINDOWS, Layout
from pyxai.propagation.windows.spans import Ints
from pyxai.tracing import Node, Rule, RuleTable
from pyxai.tracing.nodes import op_names

__all__ = ["Part", "Plans", "plans_of"]

# Ops whose rules split each place by the parts and totals that it reads, and by nothing else.
_LOCAL = (ELEMENTWISE - {"bucketize", "searchsorted"}) | op_names(
    """_native_batch_norm_legit_no_training add alias avg_pool2d cat clone constant_pad_nd
    contiguous convolution detach div getitem max_pool2d_with_indices maximum minimum mul neg pow
    rsub sub"""
)
_WITH_CONSTANT = frozenset({"_native_batch_norm_legit_no_training", "convolution"})
_SELECTING = frozenset({"max_pool2d_with_indices", "maximum", "minimum"})
_CUT = 2.0  # times what it takes to read and write an element, to cut it out of a map
_LEVELS = (4, 8)  # parts of an axis to which extents of boxes are rounded up
_FEW = 3  # sizes of boxes that are taken as they are
_LARGE = 0.5  # of the image: windows of such boxes are most of all maps


class _Rules(RuleTable):
    """The windows of ops whose values are split place by place."""

    def __init__(self, kinds: Mapping[Node, str]) -> None:
        super().__init__("windows of parts")
        self.kinds = kinds

    def rule_for(self, node: Node) -> Rule | None:
        """Return the rule for a node, ``None`` if all of its map is needed."""
        whole = node.op not in _LOCAL or self.kinds.get(node) != SPLIT
        if whole or any(self.kinds[each] != SPLIT for each in node.operands() if each.depends):
            return None
        if node.op == "constant_pad_nd" and node.args["value"]:  # a constant that somebody gets
            return None
        return WINDOWS.rule_for(node)


@dataclass(frozen=True)
class Part:
    """Groups whose boxes are of like size.

    Attributes
    ----------
    numbers : int64 [n]
        Which groups.
    plan : Plan or None
        How they are computed; None: on whole maps.
    rows, columns : int64 [n]
        Where the box of each starts.
    elements : float or None
        Of all values of one in a pass; None: of the whole model.
    """

    numbers: Ints
    plan: Plan | None
    rows: Ints
    columns: Ints
    elements: float | None


class Plans:
    """The plans of a traced model for boxes of some sizes, wherever they lie; each is made once.

    Parameters
    ----------
    engine : DecompositionEngine
    shapes : dict of Node to tuple of int
        Shapes of all tensors for one example.
    """

    def __init__(self, engine: DecompositionEngine, shapes: Mapping[Node, tuple[int, ...]]) -> None:
        graph = engine.graph
        self.shapes = shapes
        self.size = shapes[graph.inputs[0]][2:]
        self.whole = whole_work(graph, shapes)
        """Multiplications for one group on whole maps."""
        self.n_calls = len(graph.calls())
        self._rules = _Rules(engine.kinds)
        self._plans: dict[tuple[int, int], tuple[Plan, float, float]] = {}

    def of(self, engine: DecompositionEngine, height: int, width: int) -> tuple[Plan, float, float]:
        """Return the plan for boxes of a size, its work, and how many elements a row has."""
        key = height, width
        if key not in self._plans:
            places = [np.arange(room - size + 1) for room, size in zip(self.size, key, strict=True)]
            at = np.arange(max(map(len, places)))
            top, left = (each[at.clip(max=len(each) - 1)] for each in places)
            boxes = np.stack([top, top + height, left, left + width], 1)
            plan = plan_windows(engine.graph, self.shapes, boxes, self._rules)
            work = plan.work + _CUT * MOVED * self._cut(plan)
            self._plans[key] = plan, work, self._elements(engine, plan)
        return self._plans[key]

    def _cut(self, plan: Plan) -> float:
        """Return the elements that are cut out of totals for one group."""
        found = 0.0
        for step in plan.steps:
            layout = Layout(plan.frames, self.shapes)
            if step.node.op in _WITH_CONSTANT:  # the linear part, and the sum of absolute terms
                found += 2 * step.frame.area * layout.sizes(step.node)[1]
            elif step.node.op in _SELECTING:
                found += sum(each.area * layout.sizes(each.node)[1] for each in step.regions)
        return found

    def _elements(self, engine: DecompositionEngine, plan: Plan) -> float:
        """Return a third of the elements that live at once for one group, at most."""
        masks = math.prod(self.shapes[engine.graph.inputs[0]])
        shares = 0.0  # of all windows, where ties ask for them
        for node, (rows, columns) in plan.frames.items():
            held = math.prod(self.shapes.get(node, (0,)))
            shares += held * rows.size * columns.size / (rows.length * columns.length)
        return plan.elements + masks + shares / 3

    def parts(
        self,
        engine: DecompositionEngine,
        boxes: Ints,
        overhead: float,
        gain: float,
        rows_of: Callable[[float], int],
    ) -> tuple[list[Part], float]:
        """Part groups such that the work is least; what has no cheaper windows is computed whole.

        Parameters
        ----------
        engine : DecompositionEngine
        boxes : int64 [n, 4]
            Ends of the groups along both axes.
        overhead : float
            Multiplications in the time of one op of a pass.
        gain : float
            Of the work on whole maps that windows may take at most.
        rows_of : callable
            From the elements of a row to how many fit in a pass.

        Returns
        -------
        parts : list of Part
        work : float
            Multiplications.
        """
        best: list[Part] = []
        least = math.inf
        n_sizes = len(np.unique(boxes[:, 1::2] - boxes[:, ::2], axis=0))
        for level in _LEVELS if n_sizes > _FEW else (max(self.size),):
            parts, work = [], 0.0
            whole = []
            for numbers, size in self._alike(boxes, level):
                if math.prod(size) > _LARGE * math.prod(self.size):
                    whole.append(numbers)
                    continue
                plan, each, elements = self.of(engine, *size)
                passes = math.ceil(len(numbers) / rows_of(elements))
                cost = each * len(numbers) + overhead * self.n_calls * passes
                if not plan.steps or cost >= gain * self.whole * len(numbers):
                    whole.append(numbers)
                    continue
                top, left = (
                    np.minimum(boxes[numbers, 2 * axis], self.size[axis] - size[axis])
                    for axis in (0, 1)
                )
                parts.append(Part(numbers, plan, top, left, elements))
                work += cost
            if whole:
                rest = np.sort(np.concatenate(whole))
                parts.append(Part(rest, None, rest, rest, None))
                work += self.whole * len(rest)
            if work < least:
                best, least = parts, work
        return best, least

    def _alike(self, boxes: Ints, level: int) -> Iterator[tuple[Ints, tuple[int, int]]]:
        """Yield groups whose boxes round up to the same size, and that size."""
        sizes = []
        for axis, room in enumerate(self.size):
            unit = math.ceil(room / level)
            extents = np.maximum(boxes[:, 2 * axis + 1] - boxes[:, 2 * axis], 1)
            sizes.append(np.minimum(-(-extents // unit) * unit, room))
        found, which = np.unique(np.stack(sizes, 1), axis=0, return_inverse=True)
        for number, (height, width) in enumerate(found.tolist()):
            yield np.flatnonzero(which.reshape(-1) == number), (height, width)


_KNOWN: weakref.WeakKeyDictionary[Any, dict[Policies, Plans]] = weakref.WeakKeyDictionary()


def plans_of(engine: DecompositionEngine, x: Tensor) -> Plans:
    """Return the plans of an engine's graph and policies, those of before if there were any.

    ``x`` is an image, [1, channels, rows, columns], that shapes are taken from.
    """
    known = _KNOWN.setdefault(engine.graph.program, {})
    if engine.policies not in known:
        run = engine.graph.run((x,), keep=lambda node: False)
        pairs = zip(engine.graph.nodes, run.shapes, strict=True)
        shapes = {node: tuple(shape) for node, shape in pairs if shape is not None}
        known[engine.policies] = Plans(engine, shapes)
    return known[engine.policies]
