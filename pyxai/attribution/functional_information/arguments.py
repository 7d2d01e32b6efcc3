"""Checks of the arguments of functional information."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._inputs import format_feature_mask, format_inputs
from pyxai.attribution.functional_information.scores import Groups
from pyxai.covariance import Covariance

__all__ = ["by_example", "grouping", "one_tensor", "pairing"]


def one_tensor(inputs: Any) -> Tensor:
    """Return the inputs, which must be one tensor."""
    tensors, _ = format_inputs(inputs, gradients=True)
    if len(tensors) != 1:
        raise NotImplementedError(
            f"inputs must be one tensor for functional information, got {len(tensors)}; "
            "concatenate them, since one covariance speaks of all features"
        )
    return tensors[0]


def by_example(covariance: Any, x: Tensor, target: Any) -> list[Covariance]:
    """Return the covariance of each example's explained class."""
    if covariance is None:
        raise ValueError(
            "covariance must be given or fitted for this score or noise, got None; pass "
            "covariance= or call fit(loader)"
        )
    if isinstance(covariance, Covariance):
        found = [covariance] * x.shape[0]
    elif isinstance(covariance, Mapping):
        found = [_of_class(covariance, label) for label in _labels(target, x.shape[0])]
    else:
        raise TypeError(
            f"covariance must be a Covariance or a mapping of classes to them, "
            f"got {describe(covariance)}"
        )
    features = x[0].numel()
    for each in found:
        if each.features != features:
            raise ValueError(
                f"covariance must have {features} features like inputs, got {each.features}"
            )
    return found


def _of_class(covariance: Mapping[int, Covariance], label: int) -> Covariance:
    if label not in covariance:
        raise ValueError(
            f"covariance must hold every explained class, got classes {sorted(covariance)} "
            f"and target {label}"
        )
    return covariance[label]


def _labels(target: Any, batch: int) -> list[int]:
    if isinstance(target, Tensor):
        target = target.tolist()
    if isinstance(target, int):
        return [target] * batch
    if isinstance(target, list) and all(isinstance(label, int) for label in target):
        return target * batch if len(target) == 1 else target
    raise ValueError(
        "target must be one class, or one per example, where the covariance is per class, "
        f"got {describe(target)}"
    )


def grouping(
    x: Tensor, feature_mask: Tensor | None, parity: bool
) -> tuple[Groups | None, list[int]]:
    """Return the groups and the shape that group scores take, [batch, *features] at first."""
    if parity:
        if feature_mask is not None:
            raise ValueError("feature_mask must be None with parity=True, which groups channels")
        if x.dim() < 3:
            return None, list(x.shape)
        axis = x.dim() - 1 if x.dim() == 3 else 1
        kept = [size for index, size in enumerate(x.shape) if index not in (0, axis)]
        ids = torch.arange(prod(kept), device=x.device).reshape(kept).unsqueeze(axis - 1)
        return Groups(ids.expand(x.shape[1:]).reshape(-1), prod(kept)), [x.shape[0], *kept]
    if feature_mask is None:
        return None, list(x.shape)
    players = format_feature_mask(feature_mask, (x,))
    mask = players.maps[0]
    assert mask is not None
    if mask.shape[0] != 1 and bool((mask != mask[:1]).any()):
        raise ValueError("feature_mask must be the same for all examples, got one per example")
    return Groups(mask[0].reshape(-1).long(), players.n_players), list(x.shape)


def pairing(
    antithetic: bool | None, return_error: bool, n_samples: int, names: Sequence[str]
) -> bool:
    """Tell whether samples come in opposite pairs."""
    if antithetic and return_error:
        raise ValueError("antithetic must be False with return_error=True, got True")
    paired = not return_error if antithetic is None else antithetic
    if antithetic and n_samples % 2:
        raise ValueError(f"n_samples must be even for antithetic pairs, got {n_samples}")
    return paired and n_samples % 2 == 0
