"""Minus the divergence of classes as what a subset is worth: at most 0, which is its value at x."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = [
    "DIVERGENCES",
    "binary_logits",
    "check_epsilon",
    "class_log_probabilities",
    "divergence",
]

DIVERGENCES = ("kl", "reverse_kl")


def binary_logits(column: Tensor) -> Tensor:
    """Return the logits of both classes, [..., 2], from that of class 1, [..., 1]."""
    return torch.cat([torch.zeros_like(column), column], -1)


def class_log_probabilities(outputs: Tensor) -> Tensor:
    """Return log-probabilities of logits [..., n_classes]; one column is the logit of class 1."""
    outputs = binary_logits(outputs) if outputs.shape[-1] == 1 else outputs
    return outputs.log_softmax(-1)


def divergence(output: str, full: Tensor, shown: Tensor) -> Tensor:
    """Return how far classes are from those of the whole.

    Parameters
    ----------
    output : str
        ``"kl"``: ``KL(full || shown)``; ``"reverse_kl"``: ``KL(shown || full)``.
    full, shown : Tensor, shape [..., n_classes]
        Log-probabilities.

    Returns
    -------
    Tensor, shape [...]
    """
    p, q = (full, shown) if output == "kl" else (shown, full)
    return (p.exp() * (p - q)).sum(-1)


def check_epsilon(epsilon: float | None, output: Any) -> None:
    """Raise if an early stop is asked of a divergence."""
    if epsilon is not None and isinstance(output, str) and output in DIVERGENCES:
        raise ValueError(
            f"epsilon must be None for output={output!r}, whose share of 0 nothing reaches, "
            f"got {epsilon!r}"
        )
