"""Sums of per-feature values over the features of each player."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_int
from pyxai.ops._arguments import (
    accumulate_dtype,
    check_inputs,
    check_out,
    flat_players,
    owners_of,
)
from pyxai.ops._segments import segments_of

__all__ = ["player_sum", "player_sum_reference"]


def player_sum(
    values: Tensor,  # [batch, *features]
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Add up the values of each player's features.

    ``out[b, i] += sum of values[b, f] over the f with players[b, f] == i``

    Parameters
    ----------
    values : Tensor, shape [batch, *features]
        Any unit. float32, float64, bfloat16 or float16.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features of nobody; default: every feature is its own.
        Checked on the CPU; on a GPU, where a look would wait for the device, features of players
        from ``n_players`` on are left out.
    n_players : int, optional
        Number of players; needed with ``players``.
    out : Tensor, shape [batch, n_players], optional
        Added to and returned. float64 for float64, else float32.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Tensor, shape [batch, n_players]
        float64 for float64 and float32 otherwise; added up in float64. A player without features
        gets 0.

    Raises
    ------
    ValueError
        If a shape, a device or a player id does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    Deterministic on every backend: no atomics. On a GPU the map is sorted once and remembered.
    """
    features = check_inputs(values, "values")
    batch = values.shape[0]
    n_players = _count(players, n_players, features)
    flat = flat_players(players, values, n_players)
    name = check_backend(values.device, backend)
    dtype = accumulate_dtype(values.dtype)
    if out is None:
        out = torch.zeros(batch, n_players, dtype=dtype, device=values.device)
    check_out(out, (batch, n_players), dtype, values.device)
    segments = None if name == "cpu" else segments_of(players, flat, n_players)
    _C.player_sum(
        values=values.reshape(batch, features).contiguous(),
        players=flat,
        segments=segments,
        n_players=n_players,
        out=out,
        backend=name,
    )
    return out


def _count(players: Tensor | None, n_players: int | None, features: int) -> int:
    """Return the number of players, which only the identity map tells by itself."""
    if n_players is not None:
        check_int("n_players", n_players, minimum=0)
    if players is None:
        if n_players not in (None, features):
            raise ValueError(f"n_players must be {features} without players, got {n_players}")
        return features
    if n_players is None:
        raise ValueError("n_players must be given with players, got None")
    return n_players


def player_sum_reference(
    values: Tensor, players: Tensor | None = None, *, n_players: int | None = None
) -> Tensor:
    """Do what `player_sum` does, plainly and in float64."""
    owners = owners_of(players, values)
    count = _count(players, n_players, owners.shape[1])
    sums = torch.zeros(values.shape[0], count, dtype=torch.float64)
    for b in range(values.shape[0]):
        for value, owner in zip(values[b].double().flatten(), owners[b], strict=True):
            if owner >= 0:
                sums[b, owner] += value
    return sums
