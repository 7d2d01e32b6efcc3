"""Absent features take the mean of a background set."""

from __future__ import annotations

from typing import Any

import torch

from pyxai.imputers.constant import Constant
from pyxai.imputers.rows import background_of

__all__ = ["Mean"]


class Mean(Constant):
    """Replace absent features by their mean over background rows.

    Parameters
    ----------
    background : Tensor or tuple of Tensor, shape [n_background, *feat] each, or iterable of these
        Rows of the data distribution, in input units; floating point. Summed in float64. See
        `Marginal` for loaders and arrays.
    """

    def __init__(self, background: Any) -> None:
        rows = background_of(background)
        for tensor in rows:
            if not tensor.is_floating_point():
                raise TypeError(
                    f"background must be floating point to take a mean, got {tensor.dtype}"
                )
        means = tuple(t.to(torch.float64).mean(0, keepdim=True).to(t.dtype) for t in rows)
        super().__init__(means)
