"""Attributions as one row of numbers for each example."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, check_tensor
from pyxai._inputs import flat_features

__all__ = ["rows_of", "scaled", "shapes"]


def rows_of(name: str, values: Any) -> Tensor:
    """Return one float64 row per example."""
    parts = values if isinstance(values, (tuple, list)) else (values,)
    for part in parts:
        check_tensor(name, part)
        check_real(name, part)
        if part.dim() < 2 or part.numel() == 0:
            raise ValueError(
                f"{name} must have examples and features, got shape {list(part.shape)}"
            )
        check_finite(name, part)
        if len(part) != len(parts[0]):
            raise ValueError(f"{name} must have as many examples each, got {shapes(values)}")
    return torch.cat([flat_features(part.detach().double()) for part in parts], 1)


def shapes(values: Tensor | tuple[Tensor, ...]) -> list[Any]:
    """Return the shape of a tensor, or the shapes of a tuple, for a comparison or a message."""
    if isinstance(values, Tensor):
        return list(values.shape)
    return [list(value.shape) for value in values]


def scaled(rows: Tensor) -> Tensor:
    """Return rows in units of their largest entry, so that sums and squares stay in range."""
    largest = rows.abs().amax(1, keepdim=True)
    return rows / torch.where(largest > 0, largest, 1.0)
