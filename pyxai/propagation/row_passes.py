"""Work on a traced model in passes of few enough examples for the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.runner import is_out_of_memory
from pyxai.runner.memory import Measure, Schedule, rows_for
from pyxai.tracing import Graph

__all__ = ["row_passes"]

Work = Callable[[slice], tuple[Tensor, ...]]


def row_passes(graph: Graph, inputs: tuple[Tensor, ...], copies: int, work: Work) -> Any:
    """Call ``work`` on parts of the batch and join what it returns.

    Parameters
    ----------
    graph : Graph
        The traced model. Where its output has no row per example, or it was traced for one batch
        size only, the batch goes through whole.
    inputs : tuple of Tensor, shape [batch, *features]
        What goes through.
    copies : int
        How many times the values of the graph are held at once.
    work : callable
        Takes a slice of examples and returns tensors with a row for each.

    Returns
    -------
    tuple of Tensor
        The tensors of all passes, one behind the other along the batch. A pass that runs out of
        memory is halved.
    """
    batch = inputs[0].shape[0]
    program = graph.program
    whole = not (graph.batch_is_free and program.rows_apart and program.accepts(1))
    width = max(value.element_size() for value in inputs)
    per_row = float(copies * width * program.row_elements)
    rows = batch if whole else rows_for(Measure(per_row), inputs[0].device, None)
    schedule = Schedule(batch, 1, rows, whole)
    parts: list[tuple[Tensor, ...]] = []
    for examples, _ in schedule:
        try:
            part = work(examples)
        except Exception as error:
            if is_out_of_memory(error) and schedule.halve(examples.stop - examples.start):
                continue
            raise
        schedule.succeeded()
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))
