"""Models that give outputs alone: of another library, called with arrays, without gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import OUTPUTS_ALONE

__all__ = ["BlackBox"]


class BlackBox(ABC):
    """A model of another library as a function of tensors, whose rows are independent.

    Attributes
    ----------
    feature_names : list of str or None
        One name per feature of one example, where the model has names for them.
    class_names : list of str or None
        One name per output.
    dtype : torch.dtype or None
        What numbers with a fraction of arrays and tables become for it; ``None``: what they are.
    """

    feature_names: list[str] | None = None
    class_names: list[str] | None = None
    dtype: torch.dtype | None = None

    def __call__(self, *rows: Tensor) -> Tensor:
        """Return the outputs of rows, on the CPU.

        Parameters
        ----------
        *rows : Tensor, shape [rows, *features] each
            In input units, on any device.

        Returns
        -------
        Tensor, shape [rows] or [rows, n_outputs]

        Raises
        ------
        ValueError
            If gradients are to be taken with respect to the rows, or their shape does not fit.
        TypeError
            If there are not as many tensors as the model takes, or it cannot hold their numbers.
        """
        if torch.is_grad_enabled() and any(row.requires_grad for row in rows):
            raise ValueError(
                f"model must have gradients for a method that takes them, got {self!r}, a black "
                f"box that gives outputs alone; {OUTPUTS_ALONE}"
            )
        return self.outputs(tuple(row.detach().cpu() for row in rows))

    @abstractmethod
    def outputs(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Return the outputs of detached rows on the CPU; as for a call."""

    def encode(self, table: Any, name: str = "table") -> Tensor | None:
        """Return a table as the tensor that the model takes; ``None``: as any other model."""
        return None

    def display_values(self, table: Any) -> Any:
        """Return what pictures show of a table in place of its codes; ``None``: the numbers."""
        return None

    @abstractmethod
    def facts(self) -> Iterator[str]:
        """Yield texts that tell this model from any other, the same in every process."""
