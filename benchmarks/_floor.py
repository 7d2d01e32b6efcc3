"""The bare model: what a method cannot be faster than if every row goes through the whole model."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence

import torch
from _timing import interleave
from torch import Tensor, nn

__all__ = ["bare_gradients", "bare_outputs", "best_of", "mlp"]

SIZES = (256, 512, 1024, 2048, 4096, 8192)


def mlp(*widths: int) -> nn.Sequential:
    """Return a ReLU net in eval mode whose parameters need no gradient."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(False)


def bare_outputs(model: nn.Module, rows: Tensor, size: int) -> Callable[[], object]:
    """Return a call that runs the model on all rows, ``size`` at a time."""

    def run() -> object:
        with torch.inference_mode():
            return [model(part) for part in rows.split(size)]

    return run


def bare_gradients(model: nn.Module, rows: Tensor, size: int) -> Callable[[], object]:
    """Return a call that also takes the gradient of output 0 with respect to the rows."""

    def run() -> None:
        for part in rows.split(size):
            leaf = part.detach().requires_grad_()
            torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)

    return run


def best_of(
    make: Callable[[int], Callable[[], object]], sizes: Sequence[int] = SIZES
) -> Callable[[], object]:
    """Return the fastest of the calls that ``make`` gives for the usual sizes of a batch.

    On one thread by processor time, which other work on the machine does not spoil; on several by
    the time on the wall, which is what threads are to save.
    """
    calls = {str(size): make(size) for size in sizes}
    times = interleave(calls, rounds=5)
    on_wall = torch.get_num_threads() > 1
    spent = {
        name: statistics.median(taken.wall if on_wall else taken.processor for taken in row)
        for name, row in times.items()
    }
    return calls[min(spent, key=lambda name: spent[name])]
