"""Which features of an explanation were one player, so that each player counts once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from pyxai._inputs import flat_features, format_feature_mask

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = [
    "Groups",
    "MaskGroups",
    "adds_up",
    "flat_attributions",
    "flat_values",
    "groups_of",
    "is_unsigned",
    "mask_groups",
    "mask_of",
    "masked_form",
    "quantity",
    "scores_of_groups",
]

TensorOrTuple = Tensor | tuple[Tensor, ...]


class Groups(NamedTuple):
    """The players behind the flattened features of all inputs, on the CPU."""

    of_features: Tensor
    """int64 [features]: the group of each feature, 0 .. n_groups - 1."""
    first: Tensor
    """int64 [n_groups]: the first feature of each, ascending."""
    sizes: Tensor
    """int64 [n_groups]: how many features each has."""


class MaskGroups(NamedTuple):
    """The groups of a feature mask, which each example may have of its own."""

    owners: Tensor
    """int64 [1 or batch, features]: the group of each feature, 0 .. n_groups - 1."""
    ids: Tensor
    """int64 [n_groups]: their numbers in the mask, ascending."""

    @property
    def differ(self) -> bool:
        """Whether examples have groups of their own."""
        return len(self.owners) > 1 and bool((self.owners != self.owners[:1]).any())

    @property
    def first(self) -> Tensor:
        """The first feature of each group, [1 or batch, n_groups]; ``features`` where none is."""
        features = self.owners.shape[1]
        places = torch.arange(features, device=self.owners.device).expand_as(self.owners)
        first = places.new_full((len(self.owners), len(self.ids)), features)
        return first.scatter_reduce(1, self.owners, places, "amin")

    def of_first(self, values: Tensor) -> Tensor:
        """Return what the first feature of each group has, [batch, n_groups]; 0 where none is."""
        first = self.first.expand(len(values), -1)
        # One more column, that groups which a row does not have are read from.
        return torch.cat([values, torch.zeros_like(values[:, :1])], 1).gather(1, first)

    def are_constant(self, values: Tensor) -> bool:
        """Tell whether the features of each group have one value."""
        owners = self.owners.expand(len(values), -1)
        return torch.equal(self.of_first(values).gather(1, owners), values)


def flat_values(value: TensorOrTuple) -> Tensor:
    """Return values of all inputs side by side, [batch, features]."""
    return torch.cat([flat_features(part.detach()) for part in _parts(value)], 1)


def flat_attributions(explanation: Explanation) -> Tensor:
    """Return the attributions of all inputs side by side, float64 [batch, features], on the CPU."""
    return flat_values(explanation.attributions).double().cpu()


def mask_of(options: Any) -> Any:
    """Return the feature mask among the options of a call, of inputs or of a layer; None: none."""
    if not isinstance(options, dict):
        return None
    return options.get("feature_mask", options.get("layer_mask"))


def masked_form(options: Any, inputs: TensorOrTuple, attributions: TensorOrTuple) -> TensorOrTuple:
    """Return what a feature mask must fit: the inputs, or the attributions to a layer."""
    shapes = [[part.shape for part in _parts(value)] for value in (inputs, attributions)]
    is_layer = isinstance(options, dict) and "layer" in options and shapes[0] != shapes[1]
    return attributions if is_layer else inputs


def mask_groups(explanation: Explanation) -> MaskGroups | None:
    """Return the groups of the ``feature_mask`` by which a single output was explained.

    None where there was no mask, or where features of a group have different attributions.
    """
    mask, values = mask_of(explanation.options), explanation.attributions
    if mask is None:
        return None
    form = masked_form(explanation.options, explanation.inputs, values)
    try:
        players = format_feature_mask(mask, _parts(form))
    except (TypeError, ValueError):  # of other inputs than these; loaded as text
        return None
    groups, flat = MaskGroups(players.owners, players.ids), flat_values(values)
    fits = groups.owners.shape[1] == flat.shape[1] and len(groups.owners) in (1, len(flat))
    return groups if fits and groups.are_constant(flat) else None


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


def scores_of_groups(explanation: Explanation, values: TensorOrTuple) -> Tensor:
    """Return what each group of an explanation of one output has, [batch, n_groups].

    ``values`` are its attributions, or their errors.
    """
    masked, flat = mask_groups(explanation), flat_values(values)
    if masked is None:
        return flat[:, groups_of(explanation).first.to(flat.device)]
    return masked.of_first(flat)


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
    if mask_of(explanation.options) is not None:
        masked = mask_groups(explanation)
        return None if masked is None else masked.owners.cpu()
    if _has_regions(explanation):
        return values  # a region is what has one value
    window, inputs = explanation.options.get("sliding_window_shapes"), explanation.inputs
    if isinstance(window, tuple) and isinstance(inputs, Tensor) and inputs.dim() == 4:
        channels, *size = inputs.shape[1:]
        if window and isinstance(window[0], int) and window[0] >= channels:
            return torch.arange(math.prod(size)).repeat(channels)[None]
    return None


def _parts(value: TensorOrTuple) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
