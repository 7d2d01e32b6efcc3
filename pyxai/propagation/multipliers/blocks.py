"""Pairs of inputs and baselines in blocks whose forward passes fit the memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.multipliers.engine import Engine
from pyxai.propagation.multipliers.pairs import (
    Combine,
    MakeEngine,
    Pairs,
    Seed,
    Tensors,
    attribute_pairs,
)
from pyxai.runner import is_out_of_memory
from pyxai.runner.arguments import take_arguments
from pyxai.runner.memory import Schedule, memory_of_host

__all__ = ["attribute_blocks"]


def attribute_blocks(
    make_engine: MakeEngine,
    inputs: Tensors,
    baselines: Tensors,
    arguments: tuple[Any, ...],
    seed: Seed,
    combine: Combine,
    with_delta: bool,
) -> tuple[Tensors, Tensor | None]:
    """Average attributions over baselines, all rows in one forward pass if there is room.

    Parameters
    ----------
    make_engine : callable
        Gives the engine for inputs and arguments.
    inputs : tuple of Tensor, shape [n_examples, *features]
    baselines : tuple of Tensor, shape [n_baselines, *features]
    arguments : tuple
        Additional forward arguments.
    seed, combine, with_delta
        As in `attribute_pairs`.

    Returns
    -------
    tuple of Tensor, shape [n_examples, *features]
        Means over baselines. A block that runs out of memory is halved.
    Tensor, shape [n_examples * n_baselines], or None
        The gaps.
    """
    n, m = inputs[0].shape[0], baselines[0].shape[0]
    engine = make_engine(inputs, arguments)

    def block(examples: slice, repeats: slice) -> tuple[Tensors, Tensor | None]:
        def seed_of(outputs: Tensor, part: slice, width: int) -> tuple[Tensor, Tensor]:
            first = examples.start
            return seed(outputs, slice(first + part.start, first + part.stop), width)

        x, further = take_arguments((inputs, arguments), examples, n)
        b = tuple(value[repeats] for value in baselines)
        pairs = Pairs(make_engine, x, b, further, engine)
        return attribute_pairs(pairs, seed_of, combine, with_delta)

    whole = slice(0, n), slice(0, m)
    if not (engine.graph.batch_is_free and engine.graph.program.rows_apart):
        return block(*whole)
    sums: list[Tensor] = []
    delta: Tensor | None = None
    schedule = Schedule(n, m, _pairs_at_once(engine, inputs, n, m))
    for examples, repeats in schedule:
        width = repeats.stop - repeats.start
        try:
            means, gaps = block(examples, repeats)
        except Exception as error:
            if is_out_of_memory(error) and schedule.halve((examples.stop - examples.start) * width):
                continue
            raise
        schedule.succeeded()
        if (examples, repeats) == whole:
            return means, gaps
        if not sums:
            sums = [part.new_zeros(n, *part.shape[1:]) for part in means]
            delta = None if gaps is None else gaps.new_zeros(n, m)
        for total, part in zip(sums, means, strict=True):
            total[examples] += part * (width / m)
        if delta is not None and gaps is not None:
            delta[examples, repeats] = gaps.reshape(-1, width)
    return tuple(sums), None if delta is None else delta.flatten()


def _pairs_at_once(engine: Engine, inputs: Tensors, n_examples: int, n_baselines: int) -> int:
    """Return how many pairs make a block: all if their forward passes have room."""
    width = max(4, *(value.element_size() for value in inputs))
    per_row = float(max(1, width * engine.graph.program.row_elements))
    rows = int(_room(inputs[0].device) / per_row)
    if n_examples + n_baselines <= rows:
        return n_examples * n_baselines
    columns = max(1, min(n_baselines, rows // 2))
    return columns if columns < n_baselines else columns * max(1, rows - columns)


def _room(device: torch.device) -> float:
    """Return bytes for the values of forward passes, the rest being for the way back."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        free = max(1, free - torch.cuda.memory_allocated(device)) // 2
        return float(1 << (free.bit_length() - 1))  # small changes do not change the blocks
    return memory_of_host() / 4
