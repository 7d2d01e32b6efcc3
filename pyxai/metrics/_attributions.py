"""What metrics do with an attribution: check its form, score players, rank them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, check_tensor, describe
from pyxai._inputs import Players, flat_features, format_feature_mask

__all__ = ["format_attributions", "player_scores", "rank_players", "shares_of_players"]


def format_attributions(
    attributions: Any, inputs: tuple[Tensor, ...], name: str = "attributions"
) -> tuple[Tensor, ...]:
    """Return attributions as a tuple like the inputs, float64 on their device.

    Raises
    ------
    TypeError
        If something is not a tensor of real numbers.
    ValueError
        If the count or a shape is not that of the inputs, or a value is NaN or infinite.
    """
    given = tuple(attributions) if isinstance(attributions, (tuple, list)) else (attributions,)
    if len(given) != len(inputs):
        raise ValueError(
            f"{name} must have {len(inputs)} entries, one per input tensor, "
            f"got {describe(attributions)}"
        )
    for value, tensor in zip(given, inputs, strict=True):
        check_tensor(name, value)
        if value.shape != tensor.shape:
            raise ValueError(
                f"{name} must have the shape of inputs, {list(tensor.shape)}, "
                f"got {list(value.shape)}"
            )
        check_real(name, value)
        check_finite(name, value)
    return tuple(
        value.detach().to(tensor.device, torch.float64)
        for value, tensor in zip(given, inputs, strict=True)
    )


def player_scores(
    attributions: Any, inputs: tuple[Tensor, ...], feature_mask: Any, *, absolute: bool = False
) -> tuple[Tensor, Players]:
    """Return one score per player, the mean over its features: [batch, n_players], float64.

    The mean gives back a group's score where each member carries it, and ranks groups of equal
    size as their sums do. A player that owns nothing in a row is not in its game and gets minus
    infinity there.
    """
    values = torch.cat([flat_features(a) for a in format_attributions(attributions, inputs)], 1)
    if absolute:
        values = values.abs()
    players = format_feature_mask(feature_mask, inputs)
    if feature_mask is None:
        return values, players
    owners = _owners(players, len(values))
    sums = values.new_zeros(len(values), players.n_players).scatter_add_(1, owners, values)
    counts = _counts(players, owners)
    return (sums / counts).masked_fill(counts == 0, -torch.inf), players


def shares_of_players(
    attributions: Any, inputs: tuple[Tensor, ...], feature_mask: Any
) -> tuple[Tensor, ...]:
    """Return each feature's share of its player's score: [batch, features] of each input, float64.

    A score stands on each member of a group; the shares of a group sum to it.
    """
    parts = tuple(flat_features(a) for a in format_attributions(attributions, inputs))
    if feature_mask is None:
        return parts
    players = format_feature_mask(feature_mask, inputs)
    owners = _owners(players, len(parts[0]))
    sizes = _counts(players, owners).gather(1, owners)
    widths = [part.shape[1] for part in parts]
    return tuple(
        part / size for part, size in zip(parts, torch.split(sizes, widths, 1), strict=True)
    )


def _owners(players: Players, batch: int) -> Tensor:
    """Return the player of each feature over all inputs, int64 [batch, features]."""
    maps = [flat_features(each) for each in players.maps if each is not None]
    return torch.cat([each.expand(batch, -1) for each in maps], 1).long()


def _counts(players: Players, owners: Tensor) -> Tensor:
    """Return how many features each player has in each example, float64 [batch, n_players]."""
    counts = torch.zeros(len(owners), players.n_players, dtype=torch.float64, device=owners.device)
    return counts.scatter_add_(1, owners, torch.ones_like(owners, dtype=torch.float64))


def rank_players(scores: Tensor) -> Tensor:
    """Return the players from the highest score to the lowest; ties go to the lower number."""
    return torch.argsort(scores, dim=1, descending=True, stable=True)
