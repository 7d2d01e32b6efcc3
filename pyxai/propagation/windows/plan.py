"""Which values are computed in windows, where whole maps go on, and what that takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pyxai.propagation.windows.arithmetic import MOVED, multiplications
from pyxai.propagation.windows.rules import WINDOWS, Layout, Step
from pyxai.propagation.windows.spans import Frame, Ints, Region, Span, Stretch
from pyxai.tracing import Graph, Node, RuleTable

__all__ = ["Plan", "Rest", "plan_windows", "whole_work"]

Shapes = Mapping[Node, tuple[int, ...]]


class Rest(NamedTuple):
    """What is left of a model behind its windows: rows of which it is the same run together.

    Attributes
    ----------
    frontier : tuple of Node
        Whose whole maps it starts with; the output alone if there is no rest.
    sizes : tuple of (Node, int or None)
        Sizes of other maps that it reads, None where they are the number of rows.
    """

    frontier: tuple[Node, ...]
    sizes: tuple[tuple[Node, int | None], ...]


@dataclass(frozen=True)
class Plan:
    """How patches of like size and place are evaluated.

    Attributes
    ----------
    rows, columns : int64 [n_patches]
        Which of the ways of lying along an axis each patch has.
    frames : dict of Node to Frame
        Windows, of the input too.
    steps : tuple of Step
        What is computed in windows, in order.
    frontier : tuple of Region
        Whole maps with which the rest of the model starts.
    rest : Rest
    last_use : dict of Node to int
        The last step that reads the windows of a node; those of the frontier are read after all.
    """

    rows: Ints
    columns: Ints
    frames: Mapping[Node, Frame]
    steps: tuple[Step, ...]
    frontier: tuple[Region, ...]
    rest: Rest
    work: float
    elements: float
    last_use: dict[Node, int] = field(default_factory=dict)

    def maps(self) -> Iterator[Region]:
        """Yield what is read of maps of the image as it is, rather than of windows."""
        for step in self.steps:
            yield from (region for region in step.regions if not self._is_window(region))
        yield from self.frontier

    def _is_window(self, region: Region) -> bool:
        frame = self.frames.get(region.node)
        return frame is not None and region.is_window_of(frame)


def whole_work(graph: Graph, shapes: Shapes) -> float:
    """Return the work of running all of the model on one row."""
    return sum(multiplications(node, shapes) for node in graph.calls())


def plan_windows(graph: Graph, shapes: Shapes, boxes: Ints, rules: RuleTable = WINDOWS) -> Plan:
    """Decide by counted arithmetic how far patches are computed in windows.

    ``boxes`` are the ends of the patches along both axes, [n_patches, 4]; ``rules`` know which ops
    have windows.
    """
    source = graph.inputs[0]
    ends = (
        np.unique(boxes[:, 2 * axis : 2 * axis + 2], axis=0, return_inverse=True) for axis in (0, 1)
    )
    (rows, row_of), (columns, column_of) = ends
    height, width = shapes[source][2:]
    frames = {
        source: Frame(
            Span.reaching(rows[:, 0], rows[:, 1], height),
            Span.reaching(columns[:, 0], columns[:, 1], width),
        )
    }
    steps = _steps(graph, Layout(frames, shapes), rules)
    read = _read_whole(graph, frames)
    needed = _rest(graph, read)
    sizes = _sizes(needed, [node for node in frames if node not in read], shapes)
    frontier = tuple(
        Region(node, Stretch.whole(frames[node].rows), Stretch.whole(frames[node].columns))
        for node in read
    )
    layout = Layout(frames, shapes)
    work = sum(_work_of(step, layout) for step in steps)
    work += sum(MOVED * math.prod(layout.sizes(node)) for node in read)
    work += sum(multiplications(node, shapes) for node in graph.calls() if node not in frames)
    plan = Plan(
        row_of.reshape(-1), column_of.reshape(-1), frames, tuple(steps), frontier,
        Rest(tuple(read), tuple(sizes.items())), work, _peak(graph, steps, layout, read),
    )  # fmt: skip
    for number, step in enumerate(steps):
        plan.last_use.update((region.node, number) for region in step.regions)
    plan.last_use.update(dict.fromkeys(read, len(steps)))
    return plan


def _steps(graph: Graph, layout: Layout, rules: RuleTable) -> list[Step]:
    """Return what is computed in windows; enters their frames into the layout."""
    frames = layout.frames
    assert isinstance(frames, dict)
    steps = []
    for node in graph.nodes:
        if node.kind != "call" or not node.depends:
            continue
        rule = rules.rule_for(node)
        known = all(each in frames for each in node.operands() if each.depends)
        step = rule(node, layout) if rule is not None and known else None
        if step is not None and _pays(step, layout):
            frames[node] = step.frame
            steps.append(step)
    return steps


def _pays(step: Step, layout: Layout) -> bool:
    """Whether a window takes less work than the map, and is not all of it."""
    if step.node.op == "getitem":
        return True
    whole = step.frame.rows.length * step.frame.columns.length
    return not step.frame.is_whole and _work_of(step, layout) < _whole_of(step, layout, whole)


def _whole_of(step: Step, layout: Layout, area: int) -> float:
    return step.work * area + MOVED * area * layout.sizes(step.node)[1]


def _work_of(step: Step, layout: Layout) -> float:
    """Return the work of a step for one patch, with what is read of maps around windows."""
    if step.node.op == "getitem":
        return 0.0
    read = sum(
        region.area * layout.sizes(region.node)[1]
        for region in step.regions
        if region.node in layout.frames and not region.is_window_of(layout.frames[region.node])
    )
    return _whole_of(step, layout, step.frame.area) + MOVED * read


def _read_whole(graph: Graph, frames: Mapping[Node, Frame]) -> list[Node]:
    """Return the maps that others than windows read, more than a size of them, and the output."""
    return [
        node
        for node in frames
        if node is graph.output
        or any(user not in frames and user.op != "sym_size" for user in node.users)
    ]


def _rest(graph: Graph, read: list[Node]) -> list[Node]:
    """Return what is left to compute, and what that needs."""
    wanted = {graph.output}
    for node in reversed(graph.nodes):
        if node in wanted and node not in read:
            wanted.update(node.operands())
    return [node for node in graph.nodes if node in wanted]


def _sizes(needed: list[Node], hidden: list[Node], shapes: Shapes) -> dict[Node, int | None]:
    """Return the sizes that the rest asks of maps that it is not given."""
    sizes: dict[Node, int | None] = {}
    for node in needed:
        if node.op == "sym_size" and node.args["self"] in hidden:
            axis = node.args["dim"]
            sizes[node] = shapes[node.args["self"]][axis] if axis else None
    return sizes


def _peak(graph: Graph, steps: list[Step], layout: Layout, read: list[Node]) -> float:
    """Return the elements that live at once for one patch, at most."""
    last = graph.program.last_use
    by_node = {step.node: step for step in steps}
    live = peak = 0.0
    expiring: dict[int, float] = {}
    for node in graph.nodes:
        if not node.depends:
            continue
        step = by_node.get(node)
        held = float(math.prod(layout.sizes(node) or (0,)))
        passing = 0.0
        if node in layout.frames:
            frame = layout.frames[node]
            whole = held if node in read else 0.0
            held = held * frame.area / (frame.rows.length * frame.columns.length)
            passing = held if node.kind == "call" else 3.0 * held  # image, baseline and which is it
            held += whole
        if step is not None:
            sizes = ((region, layout.sizes(region.node)) for region in step.regions)
            passing += 2.0 * sum(region.area * size[1] for region, size in sizes if len(size) == 4)
        live += held
        peak = max(peak, live + passing)
        expiring[last[node.index]] = expiring.get(last[node.index], 0.0) + held
        live -= expiring.pop(node.index, 0.0)
    # Frontiers of several parts are held, and then joined; outputs are copied to their places.
    ends = (math.prod(layout.sizes(node)) for node in (*read, graph.output))
    return max(peak, 2.0 * sum(ends))
