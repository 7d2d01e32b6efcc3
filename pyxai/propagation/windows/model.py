"""A conv net as a function of patches: which of them is replaced, in which example."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyxai.propagation.windows import arithmetic
from pyxai.propagation.windows.crops import crops
from pyxai.propagation.windows.patches import Patches
from pyxai.propagation.windows.plan import Plan, Rest, plan_windows, whole_work
from pyxai.propagation.windows.reading import Key, Maps, Pass, key_of
from pyxai.propagation.windows.spans import Ints
from pyxai.runner.execution import is_plain
from pyxai.runner.memory import Measure, rows_for
from pyxai.runner.mixing import agree
from pyxai.runner.own_hooks import OwnHook
from pyxai.runner.state import left_as_found, modules_of
from pyxai.tracing import Graph, Node, Values, trace

__all__ = ["WindowedModel", "windowed_model"]

_GAIN = 0.8  # of the direct way's work that windows may take, so that they are worth it
_MAPS_BYTES = 2 * 2**30  # that the values of one example may take


class WindowedModel:
    """The outputs of a conv net for an image of which one patch is replaced.

    Called with int64 [rows, 2], of an example and a number each: 0 is the image as it is, ``1 + i``
    patch ``i`` at the baseline. Where baselines are drawn, ``1 + draw * n_patches + i`` is patch
    ``i`` at one of them. Returns what the model returns for these images, in as many rows, equal
    but for rounding. The maps of one example are held, those of the last one called for.

    Parameters
    ----------
    model : Module
    graph : Graph
        Traced from it.
    x : Tensor, shape [batch, channels, rows, columns]
    baseline : float or Tensor, shape [1 or batch, channels, rows, columns]
    n_draws : int or None
        Tells that the baselines are so many, each for all examples.
    patches : Patches
    parts : list of _Part
        Patches of like size and place, each with its plan.
    values : Values
        Those of the first example.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        x: Tensor,
        baseline: Tensor | float,
        n_draws: int | None,
        patches: Patches,
        parts: Sequence[_Part],
        values: Values,
    ) -> None:
        self.model, self.graph = model, graph  # the model is seen by who looks for its modules
        self.x, self.baseline, self.patches, self.parts = x, baseline, patches, parts
        self._drawn = n_draws is not None
        first = np.arange(n_draws or 1)[:, None] * len(patches)
        self.order = np.concatenate([(first + part.numbers).ravel() for part in parts])
        """The patches, of each draw, those of like size and place together."""
        self._part_of = np.empty(len(patches), np.int64)
        self._place_of = np.empty(len(patches), np.int64)
        for number, part in enumerate(parts):
            self._part_of[part.numbers] = number
            self._place_of[part.numbers] = np.arange(len(part.numbers))
        self._regions = {region for part in parts for region in map(key_of, part.plan.maps())}
        self._held = 0, _Maps(graph, values, self._regions)

    @property
    def measured_as(self) -> tuple[Any, Any]:
        """The model, and what of this object decides the memory of a row."""
        boxes = hash(self.patches.boxes.tobytes())
        return self.model, ("windows", self.x.shape[1:], self.x.dtype, boxes)

    def __call__(self, index: Tensor) -> Tensor:
        """Return the outputs for examples and patches."""
        examples, numbers = index.cpu().numpy().T
        outputs: Tensor | None = None
        # Parts are of few patches each: what is left of the model runs for many at once.
        waiting: dict[Rest, list[tuple[Ints, list[Tensor]]]] = {}
        filled = 0.0  # of the room for rows
        for example in dict.fromkeys(examples.tolist()):
            maps = self._maps_of(example)
            if outputs is None:
                outputs = maps.output.new_empty((len(index), *maps.output.shape[1:]))
            here = examples == example
            outputs[torch.from_numpy(here & (numbers == 0))] = maps.output
            for number, part in enumerate(self.parts):
                rows = here & (numbers > 0)
                rows[rows] = self._part_of[(numbers[rows] - 1) % len(self.patches)] == number
                for chosen in _portions(np.flatnonzero(rows), part.rows_at_once):
                    share = len(chosen) / part.rows_at_once
                    if filled + share > 1:
                        self._finish(waiting, outputs)
                        filled = 0.0
                    start = self._start(example, maps, part, numbers[chosen] - 1)
                    waiting.setdefault(part.plan.rest, []).append((chosen, start))
                    filled += share
        assert outputs is not None
        self._finish(waiting, outputs)
        return outputs

    def _maps_of(self, example: int) -> _Maps:
        """Return the maps of an example as it is, run unless it is the last that was."""
        if self._held[0] != example:
            wanted = {key[0] for key in self._regions} | {self.graph.output}
            row = self.x[example : example + 1].clone()
            values = self.graph.run((row,), keep=lambda node: not node.depends or node in wanted)
            self._held = example, _Maps(self.graph, values, self._regions)
        return self._held[1]

    def _start(self, example: int, maps: _Maps, part: _Part, numbers: Ints) -> list[Tensor]:
        """Return the maps of the frontier for some patches, of some draws, of a part."""
        plan, graph = part.plan, self.graph
        draws, chosen = np.divmod(numbers, len(self.patches))
        places = self._place_of[chosen]
        pass_ = Pass(plan.frames, maps, plan.rows[places], plan.columns[places])
        if not self._drawn:
            draws += example
        pass_.windows[graph.inputs[0]] = self._changed(example, pass_, chosen, draws)
        for number, step in enumerate(plan.steps):
            read = [pass_.read(region) for region in step.regions]
            pass_.windows[step.node] = step.compute(read, maps.values)
            del read
            for region in step.regions:
                if plan.last_use[region.node] == number:
                    pass_.windows.pop(region.node, None)
        return [pass_.read(region) for region in plan.frontier]

    def _finish(
        self, waiting: dict[Rest, list[tuple[Ints, list[Tensor]]]], outputs: Tensor
    ) -> None:
        """Write the outputs of rows whose frontier is known, and let go of that."""
        while waiting:
            rest, held = waiting.popitem()
            rows = torch.from_numpy(np.concatenate([chosen for chosen, _ in held]))
            maps = [_joined(list(each)) for each in zip(*(start for _, start in held), strict=True)]
            held.clear()
            outputs[rows] = self._rest_of(rest, maps, len(rows))

    def _rest_of(self, rest: Rest, maps: list[Tensor], rows: int) -> Tensor:
        """Return the outputs of rows from the maps of their frontier."""
        graph = self.graph
        start: dict[Node, Any] = dict(zip(rest.frontier, maps, strict=True))
        if graph.output in start:
            known: Tensor = start[graph.output]
            return known
        start.update((node, rows if n is None else n) for node, n in rest.sizes)
        nothing = self.x.new_full((), torch.nan).expand(rows, *self.x.shape[1:])
        values = graph.run((nothing,), start=start, keep=lambda node: False)
        result: Tensor = values[graph.output]
        return result

    def _changed(self, example: int, pass_: Pass, chosen: Ints, starts: Ints) -> Tensor:
        """Return the windows of the input with patches at some baselines."""
        rows, columns = pass_.frames[self.graph.inputs[0]]
        top, left = rows.start[pass_.rows], columns.start[pass_.columns]
        own = crops(self.x[example], top, left, rows.size, columns.size)
        base: Tensor | float = self.baseline
        if isinstance(base, Tensor):
            every = base.expand(-1, *self.x.shape[1:])
            base = crops(every, top, left, rows.size, columns.size, starts % len(base))
        at = (
            torch.from_numpy(start[:, None] + np.arange(size)).to(own.device)
            for start, size in ((top, rows.size), (left, columns.size))
        )
        return torch.where(self.patches.hidden(chosen, *at), base, own)


@dataclass(frozen=True)
class _Part:
    """Patches of like size and place."""

    numbers: Ints
    plan: Plan
    rows_at_once: int


class _Maps(Maps):
    """The maps of one example as it is, of which only what is read is held."""

    def __init__(self, graph: Graph, values: Values, keys: set[Key]) -> None:
        super().__init__(values)
        self.values = values
        self.output: Tensor = values[graph.output]
        for key in keys:
            self.padded(key)
        for node in graph.nodes:
            if node.depends:
                values.free(node)


def windowed_model(
    model: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor | float, ...],
    n_patches: int,
    patches: Callable[[], Patches],
    n_draws: int | None = None,
) -> WindowedModel | None:
    """Return the model as a function of patches, where that is the model and takes less work.

    With ``n_draws`` the baselines are so many, each for all examples. None unless the model is a
    module in eval mode without hooks, of one image in floats of 32 or 64 bits, that can be traced,
    and counted multiplications are fewer, tracing included. So is the answer the same whenever it
    is asked for.
    """
    n_asked = n_patches * (n_draws or 1)
    if n_asked < 2 or not _is_exact(model, inputs):
        return None
    assert isinstance(model, nn.Module)
    x = inputs[0].detach()
    least = arithmetic.TRACED * arithmetic.rate(x.device) * len(list(model.modules()))
    least /= len(x) * n_asked  # of the work on a row
    if arithmetic.most_work(model, x) < least:
        return None
    with torch.inference_mode(False), torch.no_grad():
        if arithmetic.direct_work(model, (x[:1],)) < least:
            return None
        graph, values = _traced(model, x)
        if graph is None or values is None:
            return None
        shapes = _shapes(graph, values)
        if shapes.get(graph.output, ())[:1] != (1,):
            return None
        chosen = patches()
        most = _GAIN * n_asked * whole_work(graph, shapes)
        parts = _cheapest(graph, shapes, chosen, n_draws or 1, x, most)
        if parts is None or not _keeps_rows_apart(model, x, baselines[0], values[graph.output]):
            return None
        return WindowedModel(model, graph, x, baselines[0], n_draws, chosen, parts, values)


def _is_exact(model: Any, inputs: tuple[Tensor, ...]) -> bool:
    """Whether the graph of a model on these inputs is all that the model does."""
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return False
    if type(model).__call__ is not nn.Module.__call__ or not is_plain():
        return False
    x = inputs[0]
    if len(inputs) > 1 or x.dim() != 4 or x.dtype not in (torch.float32, torch.float64):
        return False
    if not x.numel() or any(module.training or _has_hooks(module) for module in model.modules()):
        return False
    tensors = (*model.parameters(), *model.buffers())
    if any(each.is_floating_point() and each.dtype != x.dtype for each in tensors):
        return False
    kind = x.device.type
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return not mixed and not nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call] # torch's


def _has_hooks(module: nn.Module) -> bool:
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    return any(not isinstance(hook, OwnHook) for hook in hooks)


def _traced(model: nn.Module, x: Tensor) -> tuple[Graph | None, Values | None]:
    """Return the graph and its values for the first example, Nones where they say too little."""
    with contextlib.suppress(Exception):  # the direct way will say what is amiss, if anything is
        graph = trace(model, x)
        program = graph.program
        free = graph.batch_is_free and program.rows_apart and program.accepts(1)
        enough = x.element_size() * program.row_elements <= _MAPS_BYTES
        plain = not program.random and not any(node.is_complex for node in graph.nodes)
        if free and program.limits[1] is None and enough and plain:
            return graph, graph.run((x[:1].clone(),))
    return None, None


def _keeps_rows_apart(model: nn.Module, x: Tensor, baseline: Tensor | float, own: Tensor) -> bool:
    """Whether an image has the output that it has alone also beside another.

    Windows are computed for one image at a time, so that rows are not seen to be mixed there.
    """
    other = torch.zeros_like(x[:1]) + (baseline[:1] if isinstance(baseline, Tensor) else baseline)
    if torch.equal(other, x[:1]):
        other = other + 1
    with left_as_found(modules_of(model)) as state:
        alone = model(other.clone())
        state.restore()
        return agree(model(torch.cat([x[:1], other])), torch.cat([own, alone]))


def _shapes(graph: Graph, values: Values) -> dict[Node, tuple[int, ...]]:
    pairs = zip(graph.nodes, values.shapes, strict=True)
    return {node: tuple(shape) for node, shape in pairs if shape is not None}


def _cheapest(
    graph: Graph,
    shapes: Mapping[Node, tuple[int, ...]],
    patches: Patches,
    n_draws: int,
    x: Tensor,
    most: float,
) -> list[_Part] | None:
    """Part the patches such that the work is least; None if none of the ways stays below most."""
    best: list[_Part] | None = None
    size = (x.shape[2], x.shape[3])
    overhead = arithmetic.STEP * arithmetic.rate(x.device)
    for n_cuts in range(3):
        parts = []
        work = 0.0
        for numbers in patches.groups(size, n_cuts):
            plan = plan_windows(graph, shapes, patches.boxes[numbers])
            measure = Measure(plan.elements * x.element_size())
            parts.append(_Part(numbers, plan, rows_for(measure, x.device, None)))
            rows = len(numbers) * n_draws
            passes = math.ceil(rows / parts[-1].rows_at_once)
            work += plan.work * rows + overhead * len(graph.calls()) * passes
        if work < most:
            best, most = parts, work
    return best


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _portions(rows: Ints, at_most: int) -> Iterator[Ints]:
    if len(rows):
        yield from np.array_split(rows, math.ceil(len(rows) / at_most))
