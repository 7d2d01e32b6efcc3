"""Which features of an explanation were one player, so that each player counts once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pyxai._inputs import flat_features, format_feature_mask

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["Groups", "adds_up", "flat_attributions", "groups_of", "is_unsigned", "quantity"]


class Groups(NamedTuple):
    """The players behind the flattened features of all inputs, on the CPU."""

    of_features: Tensor
    """int64 [features]: the group of each feature, 0 .. n_groups - 1."""
    first: Tensor
    """int64 [n_groups]: the first feature of each, ascending."""
    sizes: Tensor
    """int64 [n_groups]: how many features each has."""


def flat_attributions(explanation: Explanation) -> Tensor:
    """Return the attributions of all inputs side by side, float64 [batch, features], on the CPU."""
    parts = _parts(explanation.attributions)
    return torch.cat([flat_features(part.detach()).double().cpu() for part in parts], 1)


def groups_of(explanation: Explanation) -> Groups:
    """Return the groups by which the method explained, each feature alone where it made none.

    A ``feature_mask`` among the options makes groups, and so do the regions of XRAI and windows of
    occlusion that span all channels. Features of a group all have its attribution; where a method
    gave them different ones, each counts alone.
    """
    values = flat_attributions(explanation)
    ids = _ids(explanation, values)
    alone = torch.arange(values.shape[1])
    if ids is None or ids.shape[1] != values.shape[1]:
        return Groups(alone, alone, torch.ones_like(alone))
    # Whole columns take longer to compare than numbers.
    ids, dim = (ids[0], None) if len(ids) == 1 else (ids, 1)
    _, raw, sizes = torch.unique(ids, dim=dim, return_inverse=True, return_counts=True)
    first = torch.full_like(sizes, len(alone)).scatter_reduce(0, raw, alone, "amin")
    if not torch.equal(values, values[:, first[raw]]):
        return Groups(alone, alone, torch.ones_like(alone))
    order = first.argsort()
    return Groups(order.argsort()[raw], first[order], sizes[order])


def quantity(explanation: Explanation) -> str:
    """Return what the numbers are: ``"rank"`` by Greedy PIG unless told otherwise, or values."""
    ranks = explanation.options.get("scores", "rank") == "rank"
    return "rank" if explanation.method == "greedy_pig" and ranks else "attribution"


def is_unsigned(explanation: Explanation) -> bool:
    """Tell whether the numbers of an example are sizes, so that a sign would say nothing."""
    options = explanation.options
    if explanation.method == "saliency":
        return bool(options.get("abs", True))
    squared = options.get("nt_type", "smoothgrad") != "smoothgrad"
    return quantity(explanation) == "rank" or (explanation.method == "noise_tunnel" and squared)


def adds_up(explanation: Explanation) -> bool:
    """Tell whether sums over players mean something: not of ranks, nor of means over regions."""
    return quantity(explanation) != "rank" and not _has_regions(explanation)


def _has_regions(explanation: Explanation) -> bool:
    return explanation.method == "xrai" or "segments" in explanation.options


def _ids(explanation: Explanation, values: Tensor) -> Tensor | None:
    """Return what features of a group have in common, [1 or batch, features]."""
    mask = explanation.options.get("feature_mask")
    if mask is not None:
        try:
            return format_feature_mask(mask, _parts(explanation.inputs)).owners.cpu()
        except (TypeError, ValueError):  # of other inputs than these; loaded as text
            return None
    if _has_regions(explanation):
        return values  # a region is what has one value
    window, inputs = explanation.options.get("sliding_window_shapes"), explanation.inputs
    if isinstance(window, tuple) and isinstance(inputs, Tensor) and inputs.dim() == 4:
        channels, *size = inputs.shape[1:]
        if window and isinstance(window[0], int) and window[0] >= channels:
            return torch.arange(math.prod(size)).repeat(channels)[None]
    return None


def _parts(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
