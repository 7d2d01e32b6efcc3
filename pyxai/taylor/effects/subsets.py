"""Bit masks of player sets: bit i of a mask is player i."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["mask_of", "members", "membership", "name_set", "popcounts"]


def mask_of(players: Iterable[int]) -> int:
    """Return the bit mask of a set of players."""
    return sum(1 << player for player in set(players))


def members(mask: int) -> tuple[int, ...]:
    """Return the players of a bit mask in increasing order."""
    return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def popcounts(n_players: int) -> Tensor:  # int64 [2**n_players]
    """Return the number of players of every mask."""
    counts = torch.zeros(1, dtype=torch.int64)
    for _ in range(n_players):
        counts = torch.cat([counts, counts + 1])
    return counts


def membership(n_players: int) -> Tensor:  # bool [2**n_players, n_players]
    """Return for every mask which players it holds; only for tables that fit in memory."""
    masks = torch.arange(2**n_players)
    return (masks[:, None] >> torch.arange(n_players) & 1).bool()


def name_set(mask: int, names: Sequence[str]) -> str:
    """Write a set of players for a person: ``{age, income}``."""
    return "{" + ", ".join(names[player] for player in members(mask)) + "}"
