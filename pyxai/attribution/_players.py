"""From values of players back to the features that belong to them."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._inputs import Players

__all__ = ["feature_players", "spread_players"]


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
    middle = scores.dim() - 2
    spread = []
    for value, owners in zip(inputs, players.maps, strict=True):
        index = feature_players(value, owners).flatten(1)  # [1 or batch, features]
        index = index.view(index.shape[0], *[1] * middle, index.shape[1])
        index = index[: scores.shape[0]].expand(*scores.shape[:-1], index.shape[-1])
        spread.append(scores.gather(-1, index).view(*scores.shape[:-1], *value.shape[1:]))
    return tuple(spread)
