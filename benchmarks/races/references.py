"""What results are held against: plain loops and enumerations in float64, and the bare model."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from pyxai._timing import bare_gradients, bare_outputs
from races.case import Call, Task, Tuned

SIZES = (32, 128, 512, 2048)


def in_float64(task: Task) -> Task:
    """Return the same task in float64."""
    return task.with_model(
        copy.deepcopy(task.model).double(),
        inputs=task.inputs.double(),
        background=task.background.double(),
    )


def gradients(task: Task, rows: Tensor) -> Tensor:
    """Return the gradients of the explained output at rows of the task's shape."""
    leaf = rows.detach().requires_grad_()
    return torch.autograd.grad(task.output(leaf).sum(), leaf)[0]


def integrated(task: Task, n_steps: int, baselines: Tensor | None = None) -> Tensor:
    """Return integrated gradients by Gauss-Legendre nodes, averaged over rows of baselines."""
    wide = in_float64(task)
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    starts = torch.zeros_like(wide.inputs[:1]) if baselines is None else baselines.double()
    total = torch.zeros_like(wide.inputs)
    for start in starts:
        change = wide.inputs - start
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            total += weight * change * gradients(wide, start + node * change)
    return total / len(starts)


def ablated(task: Task, masks: list[Tensor]) -> Tensor:
    """Return the fall of the output when the features of each mask are 0, [n_masks, batch]."""
    wide = in_float64(task)
    with torch.no_grad():
        whole = wide.output(wide.inputs)
        return torch.stack([whole - wide.output(wide.inputs * ~mask) for mask in masks])


def shapley(task: Task) -> Tensor:
    """Return exact Shapley values of the few players, by the definition, [batch, n_players]."""
    from races.peers import games

    wide = in_float64(task)
    n = 1 + int(task.few.max()) if task.few is not None else 0
    masks = np.array(list(itertools.product((0, 1), repeat=n)), dtype=np.float64)
    sizes, places = masks.sum(1).astype(int), 2 ** np.arange(n)[::-1]
    factorial = [float(np.prod(np.arange(1, k + 1))) for k in range(n + 1)]
    weights = np.array([factorial[k] * factorial[n - 1 - k] / factorial[n] for k in range(n)])
    found = []
    for game in games(wide):
        values = game(masks)
        row = []
        for player in range(n):
            without = np.flatnonzero(masks[:, player] == 0)
            gained = values[without + places[player]] - values[without]
            row.append(float((weights[sizes[without]] * gained).sum()))
        found.append(row)
    return torch.tensor(found, dtype=torch.float64)


def bare_passes(task: Task, count: int, *, backward: bool) -> Tuned:
    """Return calls that run the model on ``count`` rows for each row of the task, by batch size."""
    make: Callable[..., Call] = bare_gradients if backward else bare_outputs
    rows = task.inputs.repeat(count, *(1,) * (task.inputs.dim() - 1))
    sizes = (*(size for size in SIZES if size < len(rows)), min(len(rows), SIZES[-1]))
    return Tuned(lambda size: make(Output(task), rows, size), tuple(dict.fromkeys(sizes)))


class Output(nn.Module):
    """The explained output of rows of a task."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.net, self.task = task.model, task

    def forward(self, rows: Tensor) -> Tensor:
        return self.task.output(rows)[:, None]
