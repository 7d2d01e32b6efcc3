"""Multipliers for all pairs of inputs and baselines, from one forward pass of each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai.attribution.multipliers.engine import Engine
from pyxai.graph import GatheredRun, Run, batch_growth
from pyxai.runner import is_out_of_memory
from pyxai.runner.memory import Measure, Schedule, rows_for
from pyxai.runner.target import expand_rows

__all__ = ["Pairs", "attribute_pairs"]

Tensors = tuple[Tensor, ...]
MakeEngine = Callable[[Tensors, tuple[Any, ...]], Engine]

# Copies of the widest activation that live at once: both ends, both values, slope, multipliers.
_LIVE_COPIES = 8


class Pairs:
    """Runs of a model at inputs and at baselines, and their values for any block of pairs.

    Rows of a block are example-major. Where the graph has a free batch and no argument is per
    example, every row is run once and its values are picked; otherwise a block is run as it is.
    """

    def __init__(
        self,
        model: nn.Module,
        make_engine: MakeEngine,
        inputs: Tensors,
        baselines: Tensors,
        arguments: tuple[Any, ...],
    ) -> None:
        self.inputs, self.baselines, self.arguments = inputs, baselines, arguments
        self.n_examples, self.n_baselines = inputs[0].shape[0], baselines[0].shape[0]
        self._make_engine = make_engine
        self.engine = make_engine(inputs, arguments)
        self._per_example = any(
            isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == self.n_examples
            for leaf in pytree.tree_leaves(arguments)
        )
        self.separate = self.engine.graph.batch_is_free and not self._per_example
        self._runs: Any = None
        if self.separate:
            ends = self.engine.run(inputs, arguments)
            origins = self.engine.run(baselines, arguments)
            growth = batch_growth(self.engine.graph, ends, arguments)
            self._runs = (ends, origins, growth)

    def schedule(self) -> Schedule:
        """Cut the pairs into blocks."""
        rows = rows_for(Measure(self._bytes_per_row()), self.inputs[0].device, None)
        if not self.separate and not self.engine.graph.batch_is_free:
            # One trace serves blocks of one size only: all examples with one baseline each.
            return Schedule(self.n_examples, self.n_baselines, 1, whole_batch=True)
        return Schedule(self.n_examples, self.n_baselines, rows)

    def _bytes_per_row(self) -> float:
        size = self.inputs[0].element_size()
        widest = sum(math.prod(value.shape[1:]) for value in self.inputs)
        if self.separate:
            ends, _, growth = self._runs
            for node in self.engine.graph.calls():
                if node in growth:
                    numel = math.prod(ends.shape(node)) / max(self.n_examples, 1)
                    widest = max(widest, int(numel))
        else:
            widest *= 8
        return float(_LIVE_COPIES * widest * max(size, 4))

    def block(
        self, examples: slice, repeats: slice
    ) -> tuple[Engine, tuple[Run, Run], Tensors, Tensors]:
        """Return what is needed for one block: engine, both runs, input and baseline rows."""
        n, m = examples.stop - examples.start, repeats.stop - repeats.start
        x = tuple(expand_rows(value[examples], m, True).contiguous() for value in self.inputs)
        b = tuple(expand_rows(value[repeats], n, False).contiguous() for value in self.baselines)
        if self.separate:
            ends, origins, growth = self._runs
            device = x[0].device
            at_x = torch.arange(examples.start, examples.stop, device=device)
            at_b = torch.arange(repeats.start, repeats.stop, device=device)
            graph = self.engine.graph
            picked = (
                GatheredRun(graph, ends, growth, expand_rows(at_x, m, True)),
                GatheredRun(graph, origins, growth, expand_rows(at_b, n, False)),
            )
            return self.engine, picked, x, b
        arguments = pytree.tree_map(lambda leaf: self._expanded(leaf, examples, m), self.arguments)
        engine = self.engine
        if not engine.graph.program.accepts(x[0].shape[0]):
            engine = self._make_engine(x, arguments)
        return engine, (engine.run(x, arguments), engine.run(b, arguments)), x, b

    def _expanded(self, leaf: Any, examples: slice, repeats: int) -> Any:
        if isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == self.n_examples:
            return expand_rows(leaf[examples], repeats, True)
        return leaf


def attribute_pairs(
    pairs: Pairs,
    seed: Callable[[Tensor, slice, int], tuple[Tensor, Tensor]],
    combine: Callable[[Tensors, Tensors, Tensors], Tensors],
) -> tuple[Tensors, Tensor]:
    """Sum attributions over baselines.

    Parameters
    ----------
    pairs : Pairs
        The runs.
    seed : callable
        ``seed(outputs, examples, n_repeats)`` gives the explained scalars of a block's outputs
        and their derivative.
    combine : callable
        ``combine(multipliers, inputs, baselines)`` gives the attributions of a block of pairs.

    Returns
    -------
    tuple of Tensor, shape [n_examples, *features]
        Sums over baselines.
    Tensor, shape [n_examples * n_baselines]
        How far each pair is from complete.
    """
    sums: list[Tensor] = []
    delta: Tensor | None = None
    schedule = pairs.schedule()
    for examples, repeats in schedule:
        shape = (examples.stop - examples.start, repeats.stop - repeats.start)
        try:
            attributions, gap = _block(pairs, seed, combine, examples, repeats)
        except Exception as error:
            if is_out_of_memory(error) and schedule.halve(math.prod(shape)):
                continue
            raise
        schedule.succeeded()
        if delta is None:
            delta = gap.new_zeros(pairs.n_examples, pairs.n_baselines)
            sums = [part.new_zeros(pairs.n_examples, *part.shape[1:]) for part in attributions]
        for total, part in zip(sums, attributions, strict=True):
            total[examples] += part.reshape(*shape, *part.shape[1:]).sum(1)
        delta[examples, repeats] = gap.reshape(shape)
    assert delta is not None
    return tuple(sums), delta.flatten()


def _block(
    pairs: Pairs,
    seed: Callable[[Tensor, slice, int], tuple[Tensor, Tensor]],
    combine: Callable[[Tensors, Tensors, Tensors], Tensors],
    examples: slice,
    repeats: slice,
) -> tuple[Tensors, Tensor]:
    engine, runs, x, b = pairs.block(examples, repeats)
    output = engine.graph.output
    n_repeats = repeats.stop - repeats.start
    f_x, start = seed(runs[0][output], examples, n_repeats)
    f_b, _ = seed(runs[1][output], examples, n_repeats)
    attributions = combine(engine.multipliers(runs, start), x, b)
    gap = sum(part.flatten(1).sum(1) for part in attributions) - (f_x - f_b)
    return attributions, gap
