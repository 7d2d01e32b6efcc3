"""What a selection makes small: a loss of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, check_finite, check_model, check_tensor, describe
from pyxai._deferred_checks import check_finite_later
from pyxai.runner.mixing import each_row

__all__ = ["LOSSES", "Loss", "RowGains", "cross_entropy", "squared_error"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""``loss(outputs, labels) -> [rows]``."""


class RowGains:
    """``-loss(model(rows), labels)``, one number per row; called with the labels last.

    Parameters
    ----------
    model : callable
        The model.
    loss : str or callable
        A name from `LOSSES`, or ``loss(outputs, labels) -> [rows]``.
    """

    def __init__(self, model: Callable[..., Any], loss: str | Loss) -> None:
        check_model("model", model)
        if isinstance(loss, str):
            loss = LOSSES[check_choice("loss", loss, tuple(LOSSES))]
        elif not callable(loss):
            raise TypeError(f"loss must be a name or a function, got {describe(loss)}")
        self.model, self.loss = model, loss

    def __call__(self, *rows_and_labels: Tensor) -> Tensor:
        """Return one number per row."""
        *rows, labels = rows_and_labels
        outputs = each_row(self.model(*rows), len(labels))
        if outputs.dtype in (torch.float16, torch.bfloat16):
            outputs = outputs.float()
        losses = check_tensor("loss", self.loss(outputs, labels))
        if losses.shape != labels.shape[:1]:
            raise ValueError(
                f"loss must have one value for each of {len(labels)} rows, got shape "
                f"{list(losses.shape)}; a loss of torch takes reduction='none'"
            )
        return -losses


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of logits, [rows, n_classes], or of one logit per row."""
    if labels.dim() != 1:
        raise ValueError(
            f"labels must have shape [{len(labels)}] for the cross-entropy, "
            f"got {list(labels.shape)}"
        )
    single = outputs.dim() == 1 or outputs.shape[1] == 1
    n_classes = 2 if single else outputs.shape[1]
    check_finite("labels", labels)
    if labels.is_floating_point() and bool((labels % 1 != 0).any()):
        raise ValueError("labels must be whole numbers for the cross-entropy, got fractions")
    # Both in one look, which waits for a device.
    low, high = (int(bound) for bound in torch.stack(labels.aminmax()).tolist())
    if low < 0 or high >= n_classes:
        raise ValueError(
            f"labels must be in 0 .. {n_classes - 1} for a model with {n_classes} classes, "
            f"got {low if low < 0 else high}"
        )
    if single:
        flat = outputs.reshape(len(labels))
        return nn.functional.binary_cross_entropy_with_logits(
            flat, labels.to(flat.dtype), reduction="none"
        )
    return nn.functional.cross_entropy(outputs, labels.long(), reduction="none")


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the squared error, the mean over the outputs of a row."""
    wanted = outputs.reshape(len(labels), -1)
    check_finite_later("labels", labels)
    given = labels.to(wanted.dtype).reshape(len(labels), -1)
    if wanted.shape != given.shape:
        raise ValueError(
            f"labels must have {wanted.shape[1]} value(s) per row like the model's output, "
            f"got shape {list(labels.shape)}"
        )
    return (wanted - given).square().mean(1)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "squared_error": squared_error}
