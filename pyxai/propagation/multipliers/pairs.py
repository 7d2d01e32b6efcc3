"""Multipliers for all pairs of inputs and baselines, from one forward pass of each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai.propagation.multipliers.engine import Engine, Rows
from pyxai.runner import is_out_of_memory
from pyxai.runner.arguments import follows, map_rows
from pyxai.runner.memory import Measure, Schedule, rows_for
from pyxai.runner.mixing import per_output
from pyxai.runner.target import expand_rows
from pyxai.tracing import GatheredRun, Run, batch_growth

__all__ = ["Combine", "MakeEngine", "Pairs", "Seed", "attribute_pairs", "times_differences"]

Tensors = tuple[Tensor, ...]
MakeEngine = Callable[[Tensors, tuple[Any, ...]], Engine]
Seed = Callable[[Tensor, slice, int], tuple[Tensor, Tensor]]

# Copies of the widest activation that count: on a GPU all that live at once, so that they fit; on a
# CPU, where the budget is about the cache, the two that one operation reads.
_LIVE_COPIES = {"cuda": 8, "cpu": 2}


class Pairs:
    """Runs of a model at inputs and at baselines, and their values for any block of pairs.

    Rows of a block are example-major. Where the graph has a free batch, keeps its rows apart and
    has no argument per example, every row is run once and its values are picked; otherwise a block
    is run as it is.
    """

    def __init__(
        self,
        make_engine: MakeEngine,
        inputs: Tensors,
        baselines: Tensors,
        arguments: tuple[Any, ...],
        engine: Engine,
    ) -> None:
        self.inputs, self.baselines, self.arguments = inputs, baselines, arguments
        self.n_examples, self.n_baselines = inputs[0].shape[0], baselines[0].shape[0]
        self._make_engine = make_engine
        self.engine = engine
        leaves = pytree.tree_leaves(arguments)
        per_example = any(follows(leaf, self.n_examples) for leaf in leaves)
        graph = self.engine.graph
        self._cuts = graph.batch_is_free and graph.program.rows_apart
        self.separate = self._cuts and not per_example
        self._runs: Any = None
        if self.separate:
            ends = self.engine.run(inputs, arguments)
            origins = self.engine.run(baselines, arguments)
            self._runs = (ends, origins, batch_growth(self.engine.graph, ends, arguments))

    def schedule(self) -> Schedule:
        """Cut the pairs into blocks."""
        if not self._cuts:
            # One trace serves blocks of one size only, or one output belongs to all examples:
            # these go together, with one baseline each.
            return Schedule(self.n_examples, self.n_baselines, 1, whole_batch=True)
        rows = rows_for(Measure(self._bytes_per_row()), self.inputs[0].device, None)
        return Schedule(self.n_examples, self.n_baselines, rows)

    def _bytes_per_row(self) -> float:
        widest = sum(math.prod(value.shape[1:]) for value in self.inputs)
        if self.separate:
            ends, _, growth = self._runs
            for node in self.engine.graph.calls():
                if any(growth.get(node, ())):
                    numel = math.prod(ends.shape(node)) // max(self.n_examples, 1)
                    widest = max(widest, numel)
        else:
            widest *= 8  # nothing has run yet: a guess, corrected when memory runs out
        copies = _LIVE_COPIES.get(self.inputs[0].device.type, 8)
        return float(copies * widest * max(self.inputs[0].element_size(), 4))

    def block(self, examples: slice, repeats: slice) -> tuple[Engine, tuple[Run, Run]]:
        """Return what is needed for the multipliers of one block: engine and both runs."""
        n, m = examples.stop - examples.start, repeats.stop - repeats.start
        if self.separate:
            return self.engine, self._picked(examples, repeats, n, m)
        x, b, arguments = self.given(examples, repeats)
        engine = self.engine
        if not engine.graph.program.accepts(x[0].shape[0]):
            engine = self._make_engine(x, arguments)
        return engine, (engine.run(x, arguments), engine.run(b, arguments))

    def given(self, examples: slice, repeats: slice) -> Rows:
        """Return inputs, baselines and further arguments of a block, a row for every pair."""
        n, m = examples.stop - examples.start, repeats.stop - repeats.start
        arguments = self.arguments
        if m > 1 or n < self.n_examples:
            arguments = map_rows(
                lambda leaf: expand_rows(leaf[examples], m, True), arguments, self.n_examples
            )
        return *self.rows(examples, repeats), arguments

    def rows(self, examples: slice, repeats: slice) -> tuple[Tensors, Tensors]:
        """Return inputs and baselines of a block, a row for every pair."""
        n, m = examples.stop - examples.start, repeats.stop - repeats.start
        x = tuple(expand_rows(value[examples], m, True).contiguous() for value in self.inputs)
        b = tuple(expand_rows(value[repeats], n, False).contiguous() for value in self.baselines)
        return x, b

    def _picked(self, examples: slice, repeats: slice, n: int, m: int) -> tuple[Run, Run]:
        ends, origins, growth = self._runs
        graph = self.engine.graph
        if n == 1 or m == 1:  # the block needs no copy of any row
            x = GatheredRun(graph, ends, growth, examples, None if m == 1 else m)
            return x, GatheredRun(graph, origins, growth, repeats, None if n == 1 else n)
        device = self.inputs[0].device
        at_x = torch.arange(examples.start, examples.stop, device=device)
        at_b = torch.arange(repeats.start, repeats.stop, device=device)
        return (
            GatheredRun(graph, ends, growth, expand_rows(at_x, m, True)),
            GatheredRun(graph, origins, growth, expand_rows(at_b, n, False)),
        )


Combine = Callable[[Pairs, Tensors, slice, slice], Tensors]
"""Turns the multipliers of a block into attributions [examples, baselines, *features]."""


def times_differences(
    pairs: Pairs, multipliers: Tensors, examples: slice, repeats: slice
) -> Tensors:
    """Return ``(x - b) M`` for every pair."""
    found = []
    for slope, x, b in zip(multipliers, pairs.inputs, pairs.baselines, strict=True):
        rows, columns = x[examples].to(slope.dtype), b[repeats].to(slope.dtype)
        step = rows.unsqueeze(1) - columns.unsqueeze(0)
        found.append(step.mul_(slope.reshape(step.shape)))
    return tuple(found)


def attribute_pairs(
    pairs: Pairs, seed: Seed, combine: Combine, with_delta: bool
) -> tuple[Tensors, Tensor | None]:
    """Average attributions over baselines.

    Parameters
    ----------
    pairs : Pairs
        The runs.
    seed : callable
        ``seed(outputs, examples, n_repeats)`` gives the explained scalars of a block's outputs
        and their derivative.
    combine : callable
        Gives the attributions of a block, see :data:`Combine`.
    with_delta : bool
        Whether to say how far each pair is from complete.

    Returns
    -------
    tuple of Tensor, shape [n_examples, *features]
        Means over baselines.
    Tensor, shape [n_examples * n_baselines], or None
        The gaps; one for each baseline if the model has one output for all examples.
    """
    sums: list[Tensor] = []
    delta: Tensor | None = None
    schedule = pairs.schedule()
    for examples, repeats in schedule:
        shape = (examples.stop - examples.start, repeats.stop - repeats.start)
        try:
            totals, gap = _block(pairs, seed, combine, examples, repeats, with_delta)
        except Exception as error:
            if is_out_of_memory(error) and schedule.halve(math.prod(shape)):
                continue
            raise
        schedule.succeeded()
        if not sums:
            sums = [part.new_zeros(pairs.n_examples, *part.shape[1:]) for part in totals]
            one_output = len(gap) < shape[0]
            delta = gap.new_zeros(1 if one_output else pairs.n_examples, pairs.n_baselines)
        for total, part in zip(sums, totals, strict=True):
            total[examples] += part
        if delta is not None and with_delta:
            delta[examples, repeats] = gap
    means = tuple(total / pairs.n_baselines for total in sums)
    return means, delta.flatten() if with_delta and delta is not None else None


def _block(
    pairs: Pairs, seed: Seed, combine: Combine, examples: slice, repeats: slice, with_delta: bool
) -> tuple[Tensors, Tensor]:
    """Return attributions summed over the baselines of a block, and the gap of each pair."""
    engine, runs = pairs.block(examples, repeats)
    output = engine.graph.output
    n_repeats = repeats.stop - repeats.start
    f_x, start = seed(runs[0][output], examples, n_repeats)
    multipliers = engine.multipliers(runs, start, lambda: pairs.given(examples, repeats))
    attributions = combine(pairs, multipliers, examples, repeats)
    totals = tuple(part.sum(1) for part in attributions)
    if not with_delta:
        return totals, f_x
    f_b, _ = seed(runs[1][output], examples, n_repeats)
    each = torch.stack([part.flatten(2).sum(2) for part in attributions]).sum(0)
    change = (f_x - f_b).reshape(-1, n_repeats)
    return totals, per_output(each, change) - change
