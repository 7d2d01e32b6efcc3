"""A curve per example, what its area is, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._lazy import above
from pyxai.explanation.rows import row_numbers

__all__ = ["Curve"]


@dataclass(frozen=True)
class Curve:
    """Values of a metric along an axis, for every example.

    Attributes
    ----------
    x : Tensor, shape [n_points] or [batch, n_points]
        float64, ascending: the fraction of the features (or of the information) that is shown. One
        row per example where the examples have different numbers of features.
    y : Tensor, shape [batch, n_points]
        float64, in units of the output.
    name : str
        What ``y`` is.
    x_name : str
        What ``x`` is.
    """

    x: Tensor
    y: Tensor
    name: str = "score"
    x_name: str = "fraction of features"

    @property
    def auc(self) -> Tensor:
        """Mean height of each curve, shape [batch].

        The area by the trapezoid rule over the width of ``x``, which is 1 for curves from nothing
        to all.
        """
        width = self.x[..., -1] - self.x[..., 0]
        area = torch.trapezoid(self.y, self.x, dim=1) / width
        return torch.where(width > 0, area, self.y[:, 0])

    def mean(self) -> Curve:
        """Return the mean curve over the examples, as a batch of one.

        Where each example has its own ``x``, curves are interpolated to the points of all.
        """
        even = self.on_one_axis()
        return Curve(even.x, even.y.mean(0, keepdim=True), self.name, self.x_name)

    def on_one_axis(self) -> Curve:
        """Return the curves at the same points ``x``, [n_points], for all examples."""
        if self.x.dim() == 1:
            return self
        x = torch.unique(self.x)
        grid, xs, ys = x.cpu().numpy(), self.x.cpu().numpy(), self.y.cpu().numpy()
        rows = [np.interp(grid, *row) for row in zip(xs, ys, strict=True)]
        return replace(self, x=x, y=torch.from_numpy(np.stack(rows)).to(self.y))

    def running_max(self) -> Curve:
        """Return the curve that never falls: each value is the largest so far."""
        return replace(self, y=self.y.cummax(1).values)

    def __len__(self) -> int:
        return self.y.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> Curve:
        kept = row_numbers(index, len(self))
        x = self.x if self.x.dim() == 1 else self.x[kept.to(self.x.device)]
        return replace(self, x=x, y=self.y[kept.to(self.y.device)])

    def __repr__(self) -> str:
        auc = self.auc
        shown = f"{auc.item():.4f}" if len(auc) == 1 else f"mean {auc.nanmean():.4f}"
        return f"Curve({self.name}, {len(self)} example(s), {self.x.shape[-1]} points, auc {shown})"

    def plot(self, **options: Any) -> Any:
        """Draw the curve with `pyxai.plot.curve` and return the matplotlib Axes."""
        return above("plot").curve(self, **options)
