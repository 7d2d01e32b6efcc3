"""A curve per example, what its area is, and how it is drawn."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Curve"]


@dataclass(frozen=True)
class Curve:
    """Values of a metric along an axis, for every example.

    Attributes
    ----------
    x : Tensor, shape [n_points]
        float64, ascending: the fraction of the features (or of the information) that is shown.
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
        """Area under each curve by the trapezoid rule, shape [batch]."""
        return torch.trapezoid(self.y, self.x, dim=1)

    def mean(self) -> Curve:
        """Return the mean curve over the examples, as a batch of one."""
        return Curve(self.x, self.y.mean(0, keepdim=True), self.name, self.x_name)

    def running_max(self) -> Curve:
        """Return the curve that never falls: each value is the largest so far."""
        return Curve(self.x, self.y.cummax(1).values, self.name, self.x_name)

    def __len__(self) -> int:
        return self.y.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> Curve:
        y = self.y[index]
        return Curve(self.x, y if y.dim() == 2 else y.unsqueeze(0), self.name, self.x_name)

    def __repr__(self) -> str:
        auc = self.auc
        shown = f"{auc.item():.4f}" if len(auc) == 1 else f"mean {auc.mean():.4f}"
        return f"Curve({self.name}, {len(self)} example(s), {len(self.x)} points, auc {shown})"

    def plot(self, **options: Any) -> Any:
        """Draw the curve with `pyxai.plot.curve` and return the matplotlib Axes."""
        # A late import by name: plots stand above metrics, which must load without them.
        return importlib.import_module("pyxai.plot").curve(self, **options)
