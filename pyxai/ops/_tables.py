"""Tables of a game's values: one entry per set of players, bit i of its index is player i."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_tensor

__all__ = ["MAX_TABLE_PLAYERS", "check_table"]

MAX_TABLE_PLAYERS = 26


def check_table(values: Tensor) -> int:
    """Check a table, ``[..., 2**n_players]``, and return its number of players."""
    check_tensor("values", values)
    check_dtype("values", values, (torch.float32, torch.float64))
    n_sets = values.shape[-1] if values.dim() else 0
    if n_sets < 1 or n_sets & (n_sets - 1):
        raise ValueError(
            "values must have 2**n_players entries along the last axis, "
            f"got shape {list(values.shape)}"
        )
    n_players = n_sets.bit_length() - 1
    if n_players > MAX_TABLE_PLAYERS:
        gibibytes = n_sets * values.element_size() / 2**30
        raise ValueError(
            f"values must have at most 2**{MAX_TABLE_PLAYERS} entries a table, got 2**{n_players} "
            f"({gibibytes:g} GiB in {values.dtype})"
        )
    return n_players
