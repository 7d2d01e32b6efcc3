"""The path of guided integrated gradients, for all examples of a batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["GuidedPath"]

_CLOSE = 1e-9  # relative and absolute, of L1 distances; that of the authors' package


class GuidedPath:
    """A point on its way from the start to the end, and what its movements have added up to.

    Parameters
    ----------
    start, end : Tensor, shape [batch, features]
        float64.
    fraction, max_dist : float
        See `pyxai.attribution.GuidedIG`.
    """

    def __init__(self, start: Tensor, end: Tensor, fraction: float, max_dist: float) -> None:
        self.start, self.end = start, end
        self.point = start.clone()
        self.attributions = torch.zeros_like(start)
        self._way = end - start
        self._length = self._way.abs().sum(1)
        self._place = math.floor(fraction * (start.shape[1] - 1))
        self._max_dist = max_dist

    def move(self, gradients: Tensor, step: int, n_steps: int) -> None:
        """Move until the share of the way that is left is that of the steps that are left.

        Each turn moves the features of the smallest gradients as far as they may go. If that is not
        far enough, they count no longer, and another turn moves the next.
        """
        alpha = (step + 1) / n_steps
        low, high = max(alpha - self._max_dist, 0.0), min(alpha + self._max_dist, 1.0)
        goal = self._length * (1 - alpha)
        # An example whose input is its baseline has nowhere to go.
        rows = (self._length > 0).nonzero()[:, 0]
        while rows.numel():
            before = self.point[rows]
            point, done = self._turn(gradients[rows], rows, goal[rows], low, high)
            self.attributions[rows] += (point - before) * gradients[rows]
            self.point[rows] = point
            rows = rows[~done]

    def _turn(
        self, gradients: Tensor, rows: Tensor, goal: Tensor, low: float, high: float
    ) -> tuple[Tensor, Tensor]:
        """Return where the points of some examples get, and which of them have arrived."""
        start, end, way, point = (
            each[rows] for each in (self.start, self.end, self._way, self.point)
        )
        least, most = start + way * low, start + way * high
        moves = way != 0
        share = torch.where(moves, (point - start) / torch.where(moves, way, 1), high)
        point = torch.where(share < low, least, point)
        left = (point - end).abs().sum(1)
        close = (left - goal).abs() <= _CLOSE * torch.maximum(left, goal).clamp(min=1)
        close |= left < goal  # those that had fallen behind have caught up by more than the step
        # Features that are as far as they may go do not count.
        sizes = gradients.abs().masked_fill(point == most, torch.inf)
        threshold = sizes.sort(1).values[:, self._place, None]
        chosen = (sizes <= threshold) & (sizes != torch.inf)
        room = ((point - most).abs() * chosen).sum(1)
        share_of_room = torch.where(room > 0, (left - goal) / room, torch.inf)[:, None]
        target = torch.where(share_of_room > 1, most, point + (most - point) * share_of_room)
        moved = torch.where(chosen & ~close[:, None], target, point)
        return moved, close | (share_of_room[:, 0] <= 1)
