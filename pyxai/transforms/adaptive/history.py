"""Means of the terms of a loss, epoch by epoch, and what to say when one is not finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["History", "not_finite"]


class History:
    """Means over the examples of each epoch, also of one that was not finished."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self._epochs: list[tuple[Tensor, int]] = []  # sums, and examples

    def add(self, epoch: int, n_examples: int, loss: Tensor, terms: dict[str, Tensor]) -> None:
        """Count the means of a batch."""
        self.names = ("loss", *terms)
        sums = torch.stack([loss, *terms.values()]).detach().double() * n_examples
        if epoch < len(self._epochs):
            before, count = self._epochs.pop()
            sums, n_examples = before + sums, count + n_examples
        self._epochs.append((sums, n_examples))

    def means(self) -> dict[str, list[float]]:
        """Return the mean of each term in each epoch."""
        rows = [(sums / count).tolist() for sums, count in self._epochs]
        return {name: [row[i] for row in rows] for i, name in enumerate(self.names)}


def not_finite(terms: dict[str, Tensor], epoch: int, step: int) -> FloatingPointError:
    """Say which term is not finite; a sum of finite ones that is not is called the loss."""
    named = [(name, float(term.detach())) for name, term in terms.items()]
    name, value = next((each for each in named if not math.isfinite(each[1])), ("loss", math.inf))
    return FloatingPointError(
        f"loss must be finite, got {value} for the term {name!r} in step {step} of epoch {epoch}; "
        "filter_ is the one before it. A lower learning_rate may help"
    )
