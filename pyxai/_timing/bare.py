"""The bare model: what a method cannot be faster than if every row goes through all of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._timing.turns import Candidate, interleave

__all__ = ["SIZES", "bare_gradients", "bare_outputs", "best_of", "best_size"]

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # of batches


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Let no parameter of a module need a gradient, which a pass would be slower for."""
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, needed in zip(parameters, before, strict=True):
            parameter.requires_grad_(needed)


def bare_outputs(model: Callable[..., Any], rows: Tensor, size: int) -> Candidate:
    """Return a call that runs the model on all rows, ``size`` at a time."""

    def run() -> object:
        with torch.inference_mode():
            return [model(part) for part in _parts(rows, size)]

    return run


def bare_gradients(model: Callable[..., Any], rows: Tensor, size: int) -> Candidate:
    """Return a call that also takes the gradient of output 0 with respect to the rows."""

    def run() -> None:
        with _frozen(model):
            for part in _parts(rows, size):
                leaf = part.detach().requires_grad_()
                torch.autograd.grad(model(leaf).reshape(len(leaf), -1)[:, 0].sum(), leaf)

    return run


def _parts(rows: Tensor, size: int) -> list[Tensor]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def best_of(make: Callable[[int], Candidate], sizes: Sequence[int] = SIZES) -> Candidate:
    """Return the fastest of the calls that ``make`` gives for the usual sizes of a batch."""
    return make(best_size(make, sizes))


def best_size(
    make: Callable[[int], Candidate], sizes: Sequence[int] = SIZES, rounds: int = 5
) -> int:
    """Return the size of a batch at which ``make(size)`` is fastest.

    On one thread by processor time, which other work on the machine does not spoil; on several by
    the time on the wall, which is what threads are to save.
    """
    times = interleave({str(size): make(size) for size in sizes}, rounds=rounds)
    on_wall = torch.get_num_threads() > 1
    spent = {
        name: statistics.median(taken.wall if on_wall else taken.processor for taken in row)
        for name, row in times.items()
    }
    return int(min(spent, key=lambda name: spent[name]))
