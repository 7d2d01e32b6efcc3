"""The path of guided integrated gradients, for all examples of a batch at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from pyxai._checks import check_number
from pyxai._inputs import flat_features
from pyxai.methods.base import baseline_rows
from pyxai.runner import Runner
from pyxai.runner.progress import Progress, ProgressOption

__all__ = ["GuidedPath", "check_guidance", "flat", "flat_starts", "from_flat", "walk"]


_TURNS_BETWEEN_LOOKS = 8


class GuidedPath:
    """A point on its way from the start to the end, and what its movements have added up to.

    Where a feature is, is kept as the share of its way that it has gone: a number in [0, 1],
    however large the coordinates are beside the way between them.

    Parameters
    ----------
    start, end : Tensor, shape [batch, features]
        float64.
    fraction, max_dist : float
        See `pyxai.attribution.GuidedIG`.
    """

    def __init__(self, start: Tensor, end: Tensor, fraction: float, max_dist: float) -> None:
        self.start, self.end = start, end
        self.attributions = torch.zeros_like(start)
        self._share = torch.zeros_like(start)
        self._way = end - start
        # The parts of the features in the L1 distance: without units, and 0 where nothing moves.
        parts = self._way.abs()
        self._parts = parts / parts.sum(1, keepdim=True).clamp(min=torch.finfo(parts.dtype).tiny)
        self._place = math.floor(fraction * (start.shape[1] - 1)) + 1
        self._max_dist = max_dist

    @property
    def point(self) -> Tensor:
        """Where the path is, [batch, features]; at its ends exactly ``start`` and ``end``."""
        return torch.lerp(self.start, self.end, self._share)

    def move(self, gradients: Tensor, step: int, n_steps: int) -> None:
        """Move until the share of the way that is left is that of the steps that are left.

        Each turn moves the features of the smallest gradients as far as they may go. If that is not
        far enough, they count no longer, and another turn moves the next. So every turn but the
        last of an example takes a feature out, and there are at most as many turns as features.
        """
        alpha = (step + 1) / n_steps
        low, high = max(alpha - self._max_dist, 0.0), min(alpha + self._max_dist, 1.0)
        before, self._share = self._share, self._share.clamp(min=low)
        sizes = gradients.abs()
        turns = self._turns if sizes.device.type == "cpu" else self._turns_of_all
        turns(sizes, 1 - alpha, high)
        self.attributions += (self._share - before) * self._way * gradients

    def _turns(self, sizes: Tensor, goal: float, high: float) -> None:
        """Go on with the examples that have not arrived."""
        rows = torch.arange(len(sizes), device=sizes.device)
        while rows.numel():
            given = sizes, self._parts, self._share
            if len(rows) < len(sizes):
                given = sizes[rows], self._parts[rows], self._share[rows]
            share, done = self._turn(*given, goal, high)
            self._share[rows] = share
            rows = rows[~done]

    def _turns_of_all(self, sizes: Tensor, goal: float, high: float) -> None:
        """Go on with all examples, and ask the device now and then whether all have arrived.

        A turn that is not the last takes out as many features as move at once, so there are few
        turns for the usual fractions, and waiting for the device costs more than they do.
        """
        under_way = torch.ones(len(sizes), 1, dtype=torch.bool, device=sizes.device)
        for turn in range(1, 2 - (-sizes.shape[1] // self._place)):
            share, done = self._turn(sizes, self._parts, self._share, goal, high)
            self._share = torch.where(under_way, share, self._share)
            under_way = under_way & ~done[:, None]
            if turn % _TURNS_BETWEEN_LOOKS == 0 and not bool(under_way.any()):
                break

    def _turn(
        self, sizes: Tensor, parts: Tensor, share: Tensor, goal: float, high: float
    ) -> tuple[Tensor, Tensor]:
        """Return how far some examples get in one turn, and which of them have arrived."""
        left = (parts * (1 - share)).sum(1)
        # Features that do not move, or are as far as they may go, do not count.
        sizes = sizes.masked_fill((parts == 0) | (share >= high), torch.inf)
        threshold = sizes.kthvalue(self._place, 1, keepdim=True).values
        chosen = (sizes <= threshold) & (sizes < torch.inf)
        # Those that had fallen behind may have caught up by more than the step: nothing is to move.
        chosen &= (left > goal)[:, None]
        room = (parts * (high - share) * chosen).sum(1)
        pace = torch.where(room > 0, (left - goal) / room, torch.inf)[:, None]
        moved = torch.where(pace > 1, high, share + (high - share) * pace)
        done = (pace[:, 0] <= 1) | ~chosen.any(1)
        return torch.where(chosen, moved, share), done


def check_guidance(fraction: float, max_dist: float) -> None:
    """Raise unless both are in [0, 1]."""
    for name, value in (("fraction", fraction), ("max_dist", max_dist)):
        if not 0 <= check_number(name, value) <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def walk(
    path: GuidedPath,
    runner: Runner,
    inputs: tuple[Tensor, ...],
    n_steps: int,
    show_progress: ProgressOption,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Lead a path to its end; at the start of each step yield what the model gives there.

    Yields
    ------
    outputs, gradients : Tensor, shape [batch, 1], [batch, features]
        Gradients are float64.
    """
    batch = len(path.start)
    with Progress(show_progress, batch * n_steps) as bar:
        for step in range(n_steps):
            outputs, gradients = _gradients(runner, path.point, inputs)
            yield outputs, gradients
            path.move(gradients, step, n_steps)
            bar.advance(batch)


def flat(tensors: tuple[Tensor, ...]) -> Tensor:
    """Put the features of all inputs side by side, float64 [batch, features]."""
    return torch.cat([flat_features(tensor).double() for tensor in tensors], 1)


def flat_starts(baselines: tuple[Tensor | float, ...], inputs: tuple[Tensor, ...]) -> Tensor:
    """Do the same for the baselines, a row for each example."""
    return flat(tuple(baseline_rows(b, x) for b, x in zip(baselines, inputs, strict=True)))


def from_flat(flat_values: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return attributions in the shapes of the inputs, float64 for float64 and float32 else."""
    return tuple(
        part.to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)
        for part, tensor in zip(_shaped(flat_values, inputs), inputs, strict=True)
    )


def _shaped(values: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    sizes = [tensor[0].numel() for tensor in inputs]
    parts = torch.split(values, sizes, 1)
    return [part.reshape(x.shape) for part, x in zip(parts, inputs, strict=True)]


def _gradients(runner: Runner, point: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return the outputs and the gradients at one point of each example."""
    rows = tuple(
        part.to(tensor.dtype) for part, tensor in zip(_shaped(point, inputs), inputs, strict=True)
    )
    found = torch.empty_like(point)

    def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
        return tuple(row[examples] for row in rows)

    def consume(examples: slice, _: slice, grads: tuple[Tensor, ...]) -> None:
        found[examples] = flat(grads)

    return runner.gradients(build, len(point), 1, consume), found
