"""Scores from a sample of the rows that grows while it leaves the choice open."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai.ops import unpack_masks
from pyxai.selection.objective import Objective

__all__ = ["GrowingScores"]


class GrowingScores:
    """Path gains over the first rows, twice as many whenever the choice is not clear.

    A choice is clear when the mean of the last feature that a round takes lies two standard errors
    of the difference above that of the first that it leaves. The rows are the same in all rounds,
    so that rounds differ by what is selected alone.

    Parameters
    ----------
    objective : Objective
        Over all rows that may be used, in the order in which they are.
    n_rows : int
        How many to begin with.
    nodes, weights : Tensor, shape [n_nodes]
        Rule of the integral.
    sizes : sequence of int
        Features that each round takes.
    absolute : bool
        Whether scores are compared by their absolute values.
    """

    def __init__(
        self,
        objective: Objective,
        n_rows: int,
        nodes: Tensor,
        weights: Tensor,
        sizes: Sequence[int],
        absolute: bool,
    ) -> None:
        self.objective, self.nodes, self.weights = objective, nodes, weights
        self.sizes, self.absolute = list(sizes), absolute
        self.limit = len(objective.data.gathered().labels)
        self.n_rows = n_rows
        self.n_open = objective.features.count

    def __call__(self, selected: Tensor, _: Tensor) -> Tensor:
        """Return the scores of the next round, [1, n_features]."""
        size = self.sizes.pop(0)
        takes_all, self.n_open = size >= self.n_open, self.n_open - size
        rows = self._rows(selected, slice(0, self.n_rows))
        while self.n_rows < self.limit and not (takes_all or self._clear(rows, selected, size)):
            known, self.n_rows = self.n_rows, min(2 * self.n_rows, self.limit)
            rows = torch.cat([rows, self._rows(selected, slice(known, self.n_rows))])
        return rows.mean(0, keepdim=True)

    def _rows(self, selected: Tensor, rows: slice) -> Tensor:
        part = self.objective.of(self.objective.data.part(rows))
        return part.row_gains(selected, self.nodes, self.weights)

    def _clear(self, rows: Tensor, selected: Tensor, size: int) -> bool:
        means = rows.mean(0)
        shown = unpack_masks(selected, rows.shape[1])[0]
        keys = (means.abs() if self.absolute else means).masked_fill(shown, -torch.inf)
        order = keys.argsort(descending=True, stable=True)
        signs = torch.sign(means) if self.absolute else torch.ones_like(means)
        # By a slice: a single place on a device would have to be read.
        ends = order[size - 1 : size + 1]
        last, next_ = (signs[ends] * rows[:, ends]).unbind(1)
        gap = last - next_
        return bool(gap.mean() > 2 * gap.std() / len(gap) ** 0.5)
