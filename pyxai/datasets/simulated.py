"""Rows that were simulated, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.imputers import Imputer
from pyxai.ops import philox_normal, philox_uniform

__all__ = ["Simulated", "draw_labels", "normal_rows", "row_ids", "uniform_rows"]

_STREAM = 0x444154  # of what is drawn for data


@dataclass(frozen=True)
class Simulated:
    """Rows whose law, and whose features that matter, are known.

    Attributes
    ----------
    inputs : Tensor, shape [rows, features]
    labels : Tensor, shape [rows]
        int64 classes 0 and 1; of a regression, numbers of the dtype of the inputs.
    truth : Tensor, shape [rows, features]
        bool: the features that the label was drawn by.
    probabilities : Tensor, shape [rows]
        ``P(y = 1 | x)``.
    conditional : Imputer
        Draws absent features from their true law given the present ones; one draw for each mask,
        `pyxai.imputers.Imputer.with_draws` changes that.
    """

    inputs: Tensor
    labels: Tensor
    truth: Tensor
    probabilities: Tensor
    conditional: Imputer


def row_ids(n_rows: int) -> Tensor:
    """Name rows by their number: the first of many rows are the same as few rows of one seed."""
    return torch.arange(check_int("n_rows", n_rows, minimum=1))


def normal_rows(
    n_rows: int, shape: Sequence[int], seed: int, part: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw standard normal numbers, [n_rows, *shape]."""
    return philox_normal(
        shape,
        1,
        seed=check_int("seed", seed, minimum=0),
        example_ids=row_ids(n_rows),
        stream=_STREAM + part,
        dtype=dtype,
    ).squeeze(1)


def uniform_rows(n_rows: int, shape: Sequence[int], seed: int, part: int = 0) -> Tensor:
    """Draw float64 numbers on [0, 1), [n_rows, *shape]."""
    return philox_uniform(
        shape,
        1,
        seed=check_int("seed", seed, minimum=0),
        example_ids=row_ids(n_rows),
        stream=_STREAM + part,
        dtype=torch.float64,
    ).squeeze(1)


def draw_labels(probabilities: Tensor, seed: int) -> Tensor:
    """Draw classes 0 and 1, int64, of ``P(y = 1)`` [rows]."""
    return (uniform_rows(len(probabilities), (), seed, 1) < probabilities).long()
