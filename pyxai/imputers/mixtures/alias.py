"""Draws from a table of probabilities in a number of steps that does not depend on its size."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["alias_tables", "draw_alias"]


def alias_tables(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Build alias tables.

    Parameters
    ----------
    weights : Tensor, shape [n_tables, n]
        Not negative, float64; each row has a positive sum.

    Returns
    -------
    shares : Tensor, shape [n_tables, n]
        float64: entry i of a table stays with i for this share of its draws.
    others : Tensor, shape [n_tables, n]
        int64: who has the rest.

    Notes
    -----
    Entries below the mean are filled up by those above it, in their order; where a heavy one ends
    is found in sums of what there is to give and to take, so that a table of n is n log n
    operations of whole vectors.

    References
    ----------
    .. [1] M. D. Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution",
       IEEE Transactions on Software Engineering 17(9), 1991.
    .. [2] L. Hübschle-Schneider, P. Sanders, "Parallel Weighted Random Sampling", ESA 2019, section
       3.3 (sweeping).
    """
    scaled = weights * (weights.shape[1] / weights.sum(1, keepdim=True))
    tables = [_table(row) for row in scaled]
    return torch.stack([share for share, _ in tables]), torch.stack([other for _, other in tables])


def _table(row: Tensor) -> tuple[Tensor, Tensor]:
    is_heavy = row >= 1
    is_heavy[row.argmax()] = True  # all may be just below 1 by rounding
    light, heavy = (~is_heavy).nonzero().flatten(), is_heavy.nonzero().flatten()
    wanted = torch.cat([row.new_zeros(1), (1 - row[light]).cumsum(0)])
    given = (row[heavy] - 1).cumsum(0)
    shares, others = row.clone(), torch.arange(len(row), device=row.device)
    # A light entry is filled by the first heavy one that those before it have not used up.
    filler = torch.searchsorted(given, wanted[:-1], right=True).clamp(max=len(heavy) - 1)
    others[light] = heavy[filler]
    # A heavy one is left with less than 1 by the light entry that it fills last; the next one
    # fills it up.
    last = torch.searchsorted(wanted, given).clamp(max=len(wanted) - 1)
    shares[heavy] = (1 + given - wanted[last]).clamp(0, 1)
    shares[heavy[-1]] = 1.0
    others[heavy[:-1]] = heavy[1:]
    return shares, others


def draw_alias(shares: Tensor, others: Tensor, tables: Tensor, uniform: Tensor) -> Tensor:
    """Draw an entry of a table.

    Parameters
    ----------
    shares, others : Tensor, shape [n_tables, n]
        See `alias_tables`.
    tables : Tensor, shape [...]
        int64: which table to draw from.
    uniform : Tensor, shape [..., 2]
        float64 on [0, 1); broadcasts to the tables.

    Returns
    -------
    Tensor, shape [...]
        int64 from 0 to n - 1.
    """
    place = (uniform[..., 0] * shares.shape[1]).long().expand(tables.shape)
    stays = uniform[..., 1] < shares[tables, place]
    return torch.where(stays, place, others[tables, place])
