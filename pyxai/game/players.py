"""From values of players back to the features that belong to them."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._inputs import Players, flat_features

__all__ = [
    "check_one_mask",
    "feature_players",
    "player_patterns",
    "players_with",
    "present_players",
    "renumbered",
    "spread_players",
]

Maps = tuple[Tensor | None, ...]


def players_with(marked: tuple[Tensor, ...], maps: Maps, n_players: int) -> Tensor:
    """Return which players have a feature that is marked.

    Parameters
    ----------
    marked : tuple of Tensor, shape [batch, *features] each
        bool.
    maps : tuple of Tensor or None, shape [1 or batch, *features] each
        Player of each feature; None: each its own.
    n_players : int
        How many players there are.

    Returns
    -------
    Tensor, shape [batch, n_players]
        bool.
    """
    batch = marked[0].shape[0]
    counts = torch.zeros(batch, n_players, dtype=torch.int32, device=marked[0].device)
    for marks, owners in zip(marked, maps, strict=True):
        flat = marks.reshape(batch, -1)
        if owners is None:
            return flat
        index = flat_features(owners).long().expand(batch, -1)
        counts.scatter_add_(1, index, flat.int())
    return counts > 0


def present_players(maps: Maps, n_players: int, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return which players each example has, bool [batch, n_players].

    They are all of them, unless a feature mask differs from example to example.
    """
    everything = tuple(torch.ones_like(value, dtype=torch.bool) for value in inputs)
    return players_with(everything, maps, n_players)


def check_one_mask(maps: Maps, n_rows: int) -> None:
    """Raise unless outputs have a row for each example, or the examples share their players.

    Parameters
    ----------
    maps : tuple of Tensor or None, shape [1 or batch, *features] each
        Player of each feature; None: each its own.
    n_rows : int
        How many rows the outputs have: 1 where they belong to all examples together.

    Raises
    ------
    ValueError
        If not: an output of all examples has no features of one of them.
    """
    most = max((len(owners) for owners in maps if owners is not None), default=1)
    if most > 1 and n_rows == 1:
        raise ValueError(
            "feature_mask must be the same for all examples, with a first size of 1, for a model "
            f"with outputs for the whole batch, got {most} rows"
        )


def player_patterns(chosen: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Group examples of which the same players are chosen, bool [batch, n_players].

    Returns the rows and the players of each group, int64.
    """
    patterns, which = torch.unique(chosen, dim=0, return_inverse=True)
    return [
        ((which == number).nonzero()[:, 0], pattern.nonzero()[:, 0])
        for number, pattern in enumerate(patterns)
    ]


def renumbered(players: Players, some: Tensor) -> Players:
    """Give some players, int64 [n_some], numbers from 0; the features must have no others."""
    numbers = torch.zeros(players.n_players, dtype=torch.int32, device=some.device)
    numbers[some] = torch.arange(len(some), dtype=torch.int32, device=some.device)
    maps = tuple(None if owners is None else numbers[owners.long()] for owners in players.maps)
    return Players(maps, players.ids[some])


def feature_players(value: Tensor, owners: Tensor | None) -> Tensor:
    """Return the player of every feature of one input tensor, int64 [1 or batch, *feat]."""
    if owners is not None:
        return owners.long()
    count = value[0].numel()
    return torch.arange(count, device=value.device).view(1, *value.shape[1:])


def spread_players(
    scores: Tensor, players: Players, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Give every feature the score of its player.

    Parameters
    ----------
    scores : Tensor, shape [batch, ..., n_players]
        Or [1, ..., n_players] for models with one scalar per batch. Dimensions in between count
        outputs.
    players : Players
        Which player each feature belongs to.
    inputs : tuple of Tensor, shape [batch, *features] each
        What the features belong to.

    Returns
    -------
    tuple of Tensor, shape [batch, ..., *features] each
    """
    check_one_mask(players.maps, len(scores))
    middle = scores.dim() - 2
    spread = []
    for value, owners in zip(inputs, players.maps, strict=True):
        index = flat_features(feature_players(value, owners))  # [1 or batch, features]
        index = index.view(index.shape[0], *[1] * middle, index.shape[1])
        index = index.expand(*scores.shape[:-1], index.shape[-1])
        spread.append(scores.gather(-1, index).view(*scores.shape[:-1], *value.shape[1:]))
    return tuple(spread)
