"""Groups of features as weights of all features, and which examples have them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.decomposition.groups import groups_of_masks

__all__ = ["group_weights", "groups_there"]


def group_weights(groups: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Check masks and return them, [batch, groups, *features] each, in the dtype of the inputs."""
    found = groups_of_masks(groups, inputs)
    return found.masks(slice(0, len(inputs[0])), slice(0, found.count))


def groups_there(groups: Any, batch: int) -> Tensor:
    """Return which examples have a feature in each group, bool [batch, groups].

    ``groups`` are masks that were checked.
    """
    given = groups if isinstance(groups, (tuple, list)) else (groups,)
    some = [flat_features(mask.flatten(0, 1) > 0).any(1).view(mask.shape[:2]) for mask in given]
    return torch.stack([each.expand(batch, -1) for each in some]).any(0)
