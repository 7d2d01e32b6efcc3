"""What else than the loss tells how well a model does: accuracy and ROC-AUC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.runner.mixing import each_row

__all__ = ["Hit", "Margin", "roc_auc"]


class Margin:
    """How far class 1 is ahead of class 0, for each row.

    Parameters
    ----------
    model : callable
        Of two classes, or of one logit.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model

    def __call__(self, *rows_and_labels: Tensor) -> Tensor:
        """Return one number per row; the labels come last."""
        *rows, labels = rows_and_labels
        outputs = each_row(self.model(*rows), len(labels))
        if outputs.numel() == len(labels):
            return outputs.reshape(len(labels))
        if outputs.dim() != 2 or outputs.shape[1] != 2:
            raise ValueError(
                "metric 'roc_auc' must have a model with two classes or one logit, got outputs of "
                f"shape {list(outputs.shape)}"
            )
        return outputs[:, 1] - outputs[:, 0]


class Hit:
    """Whether the label is the largest output, for each row.

    Parameters
    ----------
    model : callable
        Of several classes, or of one logit.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model

    def __call__(self, *rows_and_labels: Tensor) -> Tensor:
        """Return one number per row; the labels come last."""
        *rows, labels = rows_and_labels
        outputs = each_row(self.model(*rows), len(labels))
        flat = outputs.reshape(len(labels), -1)
        best = (flat[:, 0] > 0).long() if flat.shape[1] == 1 else flat.argmax(1)
        return (best == labels).double()


def roc_auc(scores: Tensor, labels: Tensor) -> float:
    """Chance that a row of class 1 scores above one of class 0; ties count one half."""
    positive = scores[labels == 1].double().sort().values
    negative = scores[labels != 1].double().sort().values
    if not len(positive) or not len(negative):
        raise ValueError("labels must hold both classes for 'roc_auc', got one")
    below = torch.searchsorted(negative, positive)
    up_to = torch.searchsorted(negative, positive, right=True)
    return float((below + up_to).double().mean() / 2 / len(negative))
