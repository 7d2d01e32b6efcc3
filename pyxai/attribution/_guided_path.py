"""The path of guided integrated gradients, for all examples of a batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["GuidedPath"]


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
        rows = torch.arange(len(sizes), device=sizes.device)
        while rows.numel():
            given = sizes, self._parts, self._share
            if len(rows) < len(sizes):
                given = sizes[rows], self._parts[rows], self._share[rows]
            share, done = self._turn(*given, 1 - alpha, high)
            self._share[rows] = share
            rows = rows[~done]
        self.attributions += (self._share - before) * self._way * gradients

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
