"""Sums over the coalitions of a table that contain a player or a pair, weighted by size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_dtype, check_finite, check_shape, check_tensor
from pyxai.ops._arguments import check_table

__all__ = ["TableSums", "table_sums", "table_sums_reference"]

_MAX_ROWS = _C.max_weight_rows


class TableSums(NamedTuple):
    """Sums of one row of weights, float64."""

    total: Tensor  # [...]
    players: Tensor | None  # [..., n_players], from order 1 on
    pairs: Tensor | None  # [..., n_players * (n_players - 1) / 2], pairs i < j row by row


def table_sums(
    values: Tensor,  # [..., 2**n_players]
    weights: Tensor,  # [n_rows, n_players + 1]
    orders: Sequence[int],
    *,
    backend: str | None = None,
) -> list[TableSums]:
    """Add up the values of all coalitions with weights that depend on their size.

    ``total = sum over S of w[|S|] * (values[S] - values[0])``; ``players[i]`` and ``pairs[i, j]``
    are the same over the S that contain player i, or players i and j.

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        Value of every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    weights : Tensor, shape [n_rows, n_players + 1]
        float64 weights of coalitions of 0 to ``n_players`` players, at most 8 rows.
    orders : sequence of int
        For each row 0 (the total), 1 (also players) or 2 (also pairs).
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    list of TableSums
        For each row, float64, in output units times the unit of the weights.

    Raises
    ------
    ValueError
        If a shape, an order or a weight does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    The table is read once for all rows. Folding halves of it onto each other takes about
    ``4 * 2**n_players`` additions for all players and pairs of a row, where a product with a
    matrix of coalitions takes ``n_players**2 / 2`` times as many. Deterministic, and independent of
    the batch; CPU and CUDA differ in the order of additions.
    """
    n_players = check_table(values)
    orders = _check_rows(weights, orders, n_players)
    tables = values.reshape(-1, 2**n_players).contiguous()
    n_pairs = n_players * (n_players - 1) // 2
    widths = [1 + n_players * (order > 0) + n_pairs * (order > 1) for order in orders]
    out = torch.empty((len(tables), sum(widths)), dtype=torch.float64, device=values.device)
    _C.table_sums(
        values=tables,
        weights=weights.to(values.device).contiguous(),
        orders=orders,
        out=out,
        backend=check_backend(values.device, backend),
    )
    out = out.view(*values.shape[:-1], sum(widths))
    return [
        TableSums(
            row[..., 0],
            row[..., 1 : 1 + n_players] if order > 0 else None,
            row[..., 1 + n_players :] if order > 1 else None,
        )
        for row, order in zip(torch.split(out, widths, -1), orders, strict=True)
    ]


def _check_rows(weights: Tensor, orders: Sequence[int], n_players: int) -> list[int]:
    """Check the rows of weights and return their orders."""
    check_tensor("weights", weights)
    check_dtype("weights", weights, (torch.float64,))
    check_shape("weights", weights, [None, n_players + 1])
    if not 1 <= len(weights) <= _MAX_ROWS:
        raise ValueError(f"weights must have 1 to {_MAX_ROWS} rows, got {len(weights)}")
    if weights.device.type == "cpu":
        check_finite("weights", weights)
    orders = list(orders)
    if len(orders) != len(weights):
        raise ValueError(f"orders must have {len(weights)} entries, got {len(orders)}")
    if any(order not in (0, 1, 2) for order in orders):
        raise ValueError(f"orders must be 0, 1 or 2, got {orders}")
    return orders


def table_sums_reference(values: Tensor, weights: Tensor, orders: Sequence[int]) -> list[TableSums]:
    """Do what `table_sums` does, coalition by coalition and in float64."""
    n_players = check_table(values)
    pairs = [(i, j) for i in range(n_players) for j in range(i + 1, n_players)]
    sums = []
    for row, order in zip(weights.tolist(), orders, strict=True):
        total = torch.zeros(values.shape[:-1], dtype=torch.float64)
        single = torch.zeros(*values.shape[:-1], n_players, dtype=torch.float64)
        double = torch.zeros(*values.shape[:-1], len(pairs), dtype=torch.float64)
        for chosen in range(2**n_players):
            gain = values[..., chosen].double() - values[..., 0].double()
            term = row[chosen.bit_count()] * gain
            total += term
            for i in range(n_players):
                single[..., i] += term * (chosen >> i & 1)
            for k, (i, j) in enumerate(pairs):
                double[..., k] += term * (chosen >> i & chosen >> j & 1)
        sums.append(TableSums(total, single if order > 0 else None, double if order > 1 else None))
    return sums
