"""What metrics do with an attribution: check its form, score players, rank them."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, check_tensor, describe
from pyxai._inputs import Players, flat_features, format_feature_mask, sums_at

__all__ = ["format_attributions", "player_scores", "rank_players", "shares_of_players"]


def format_attributions(
    attributions: Any, inputs: tuple[Tensor, ...], feature_mask: Any
) -> tuple[tuple[Tensor, ...], Any]:
    """Return attributions as a tuple like the inputs, and the mask of their players.

    A map of one channel for an image ``[batch, channels, height, width]``, of shape ``[batch, 1,
    height, width]`` or ``[batch, height, width]``, scores whole pixels: it stands on each channel,
    and where no mask is given, the mask makes a player of each pixel.

    Returns
    -------
    tuple of Tensor, shape of the inputs
        float64 on their device.
    None or tuple of Tensor
        A feature mask; None where every feature is its own player.

    Raises
    ------
    TypeError
        If something is not a tensor of real numbers.
    ValueError
        If the count or a shape is not that of the inputs, a value is NaN or infinite, or
        ``feature_mask`` divides the pixels of an image that has a map.
    """
    given = tuple(attributions) if isinstance(attributions, (tuple, list)) else (attributions,)
    if len(given) != len(inputs):
        raise ValueError(
            f"attributions must have {len(inputs)} entries, one per input tensor, "
            f"got {describe(attributions)}"
        )
    for value, tensor in zip(given, inputs, strict=True):
        check_tensor("attributions", value)
        if value.shape != tensor.shape and not _is_map(value, tensor):
            raise ValueError(
                f"attributions must have the shape of inputs, {_shapes_for(tensor)}, "
                f"got {list(value.shape)}"
            )
        check_real("attributions", value)
        check_finite("attributions", value)
    whole = [_is_map(value, tensor) for value, tensor in zip(given, inputs, strict=True)]
    if any(whole):
        feature_mask = _mask_of_pixels(feature_mask, inputs, whole)
    values = tuple(
        _on_all_channels(value, tensor).detach().to(tensor.device, torch.float64)
        for value, tensor in zip(given, inputs, strict=True)
    )
    return values, feature_mask


def _is_map(value: Tensor, tensor: Tensor) -> bool:
    """Tell whether attributions of an image have one score for all channels of a pixel."""
    if tensor.dim() != 4 or value.shape == tensor.shape:
        return False
    batch, _, height, width = tensor.shape
    return value.shape in ((batch, 1, height, width), (batch, height, width))


def _on_all_channels(value: Tensor, tensor: Tensor) -> Tensor:
    if not _is_map(value, tensor):
        return value
    return (value.unsqueeze(1) if value.dim() == 3 else value).expand_as(tensor)


def _shapes_for(tensor: Tensor) -> str:
    """Return the shapes that attributions of an input may have."""
    shapes = [list(tensor.shape)]
    if tensor.dim() == 4:
        batch, channels, height, width = shapes[0]
        shapes += [[batch, 1, height, width]] * (channels > 1) + [[batch, height, width]]
    return " or ".join(map(str, shapes))


def _mask_of_pixels(feature_mask: Any, inputs: tuple[Tensor, ...], whole: list[bool]) -> Any:
    """Return a mask whose players hold whole pixels of the inputs that are scored by pixels."""
    if feature_mask is None:
        masks, start = [], 0
        for tensor, pixels in zip(inputs, whole, strict=True):
            shape = (1, 1, *tensor.shape[2:]) if pixels else (1, *tensor.shape[1:])
            ids = torch.arange(start, start + prod(shape), device=tensor.device)
            masks.append(ids.view(shape))
            start += prod(shape)
        return tuple(masks)
    maps = format_feature_mask(feature_mask, inputs).maps
    for owners, pixels in zip(maps, whole, strict=True):
        if pixels and owners is not None and bool((owners != owners[:, :1]).any()):
            raise ValueError(
                "feature_mask must hold all channels of a pixel in one group where attributions "
                "have one channel, got groups that divide pixels"
            )
    return feature_mask


def player_scores(
    attributions: Any, inputs: tuple[Tensor, ...], feature_mask: Any, *, absolute: bool
) -> tuple[Tensor, Any]:
    """Return one score per player, float64 [batch, n_players], and the mask of the players.

    A score is the mean over the player's features; the mask is that of `format_attributions`.

    The mean gives back a group's score where each member carries it, and ranks groups of equal
    size as their sums do. A player that owns nothing in a row is not in its game and gets minus
    infinity there.
    """
    parts, feature_mask = format_attributions(attributions, inputs, feature_mask)
    values = torch.cat([flat_features(part) for part in parts], 1)
    if absolute:
        values = values.abs()
    if feature_mask is None:
        return values, None
    players = format_feature_mask(feature_mask, inputs)
    owners = players.owners.expand(len(values), -1)
    sums = sums_at(owners, values, players.n_players)
    counts = _counts(players, owners)
    return (sums / counts).masked_fill(counts == 0, -torch.inf), feature_mask


def shares_of_players(
    attributions: Any, inputs: tuple[Tensor, ...], feature_mask: Any
) -> tuple[Tensor, ...]:
    """Return each feature's share of its player's score: [batch, features] of each input, float64.

    A score stands on each member of a group; the shares of a group sum to it.
    """
    values, feature_mask = format_attributions(attributions, inputs, feature_mask)
    parts = tuple(flat_features(value) for value in values)
    if feature_mask is None:
        return parts
    players = format_feature_mask(feature_mask, inputs)
    owners = players.owners.expand(len(parts[0]), -1)
    sizes = _counts(players, owners).gather(1, owners)
    widths = [part.shape[1] for part in parts]
    return tuple(
        part / size for part, size in zip(parts, torch.split(sizes, widths, 1), strict=True)
    )


def _counts(players: Players, owners: Tensor) -> Tensor:
    """Return how many features each player has in each example, float64 [batch, n_players]."""
    counts = torch.zeros(len(owners), players.n_players, dtype=torch.float64, device=owners.device)
    return counts.scatter_add_(1, owners, torch.ones_like(owners, dtype=torch.float64))


def rank_players(scores: Tensor) -> Tensor:
    """Return the players from the highest score to the lowest; ties go to the lower number."""
    return torch.argsort(scores, dim=1, descending=True, stable=True)
