"""What a selection returns: an order of the features, and how the model does with the first k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._lazy import above

__all__ = ["FeatureSelection", "SelectionCurve"]


@dataclass(frozen=True)
class SelectionCurve:
    """A quality of the model over the number of features that it is shown.

    Attributes
    ----------
    sizes : Tensor, shape [n_points]
        int64, ascending numbers of features.
    values : Tensor, shape [n_points]
        float64: the mean loss, the ROC-AUC or the accuracy.
    metric : str
        Which of them.
    """

    sizes: Tensor
    values: Tensor
    metric: str = "loss"

    @property
    def mean(self) -> float:
        """Mean value over the points that show at least one feature."""
        return float(self.values[self.sizes > 0].mean())

    @property
    def auc(self) -> float:
        """Area under the curve over its width, by the trapezoid rule: a mean height."""
        sizes = self.sizes.double()
        return float(torch.trapezoid(self.values, sizes) / (sizes[-1] - sizes[0]))

    def __repr__(self) -> str:
        return (
            f"SelectionCurve({self.metric}, {int(self.sizes[0])} to {int(self.sizes[-1])} features,"
            f" mean {self.mean:.4f}, from {self.values[0]:.4f} to {self.values[-1]:.4f})"
        )

    def plot(self, **options: Any) -> Any:
        """Draw the curve with `pyxai.plot.selection` and return the matplotlib Axes."""
        # A late import by name: plots stand above selections, which must load without them.
        return above("plot").selection(self, **options)


@dataclass(frozen=True)
class FeatureSelection:
    """Features in the order in which they were selected.

    Attributes
    ----------
    order : Tensor, shape [n_select]
        int64 features, the best first.
    scores : Tensor, shape [n_select]
        float64, what each was selected for: in units of the loss, of its own round, so that they
        need not fall.
    round_index : Tensor, shape [n_select]
        int64 round of each, from 0; -1 for those that no round reached.
    curve : SelectionCurve or None
        Mean loss over the number of features, on the data of the selection.
    names : tuple of str
        Names of all features.
    method : str
        How they were selected.
    n_rows : int or None
        Rows that the last round looked at, where a sample grew.
    """

    order: Tensor
    scores: Tensor
    round_index: Tensor
    curve: SelectionCurve | None
    names: tuple[str, ...]
    method: str = "greedy"
    n_rows: int | None = None

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the selected features, the best first."""
        return tuple(self.names[index] for index in self.order.tolist())

    def support(self, n_features: int | None = None) -> Tensor:
        """Return which features the first ``n_features`` are, bool [number of all features].

        Raises ``ValueError`` if fewer are selected.
        """
        count = len(self.order) if n_features is None else check_int("n_features", n_features)
        if not 0 <= count <= len(self.order):
            raise ValueError(
                f"n_features must be in 0 .. {len(self.order)}, the selected ones, got {count}"
            )
        mask = torch.zeros(len(self.names), dtype=torch.bool, device=self.order.device)
        mask[self.order[:count]] = True
        return mask

    def __len__(self) -> int:
        return len(self.order)

    def __repr__(self) -> str:
        shown = min(len(self), 20)
        width = max(len(self.names[index]) for index in self.order[:shown].tolist())
        losses = _losses(self.curve)
        head = f"FeatureSelection: {len(self)} of {len(self.names)} features, {self.method}"
        lines = [head, f"{'':>4}  {'feature':<{width}}  {'score':>10}  {'loss with it':>12}"]
        if 0 in losses:
            lines.append(f"{0:>4}  {'(none)':<{width}}  {'':>10}  {losses[0]:>12.4f}")
        for place in range(shown):
            name, score = self.names[int(self.order[place])], float(self.scores[place])
            loss = f"{losses[place + 1]:>12.4f}" if place + 1 in losses else ""
            lines.append(f"{place + 1:>4}  {name:<{width}}  {score:>10.4g}  {loss}".rstrip())
        if shown < len(self):
            lines.append(f"      ... and {len(self) - shown} more")
        if self.curve is not None:
            lines.append(f"mean loss over the number of features: {self.curve.mean:.4f}")
        return "\n".join(lines)


def _losses(curve: SelectionCurve | None) -> dict[int, float]:
    if curve is None:
        return {}
    return dict(zip(curve.sizes.tolist(), curve.values.tolist(), strict=True))
