"""Uniform numbers for designs that all examples share."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.ops import philox_uniform

__all__ = ["uniform"]


def uniform(ids: Tensor, columns: int, *, seed: int, stream: int = 0) -> Tensor:
    """Return float64 numbers in [0, 1), [n_ids, columns]; each row depends on its id alone."""
    return philox_uniform(
        (columns,), 1, seed=seed, example_ids=ids, stream=stream, dtype=torch.float64
    ).view(ids.numel(), columns)
