"""What a score costs that is other than it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_device, check_finite, check_number, check_real, describe

__all__ = ["PENALTIES", "SHARES", "Penalty", "desired_like", "penalty_of", "reduced"]

Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(relevant, irrelevant, desired) -> penalty, all of one shape."""


def _sigmoid(relevant: Tensor, irrelevant: Tensor, desired: Tensor) -> Tensor:
    return (torch.sigmoid(relevant - irrelevant) - desired).abs()


def _softplus(relevant: Tensor, irrelevant: Tensor, desired: Tensor) -> Tensor:
    difference = relevant - irrelevant
    return torch.nn.functional.softplus(difference) - desired * difference


def _absolute(relevant: Tensor, irrelevant: Tensor, desired: Tensor) -> Tensor:
    return (relevant - desired).abs()


def _square(relevant: Tensor, irrelevant: Tensor, desired: Tensor) -> Tensor:
    return (relevant - desired).square()


def _ratio(relevant: Tensor, irrelevant: Tensor, desired: Tensor) -> Tensor:
    mine = relevant.abs()
    both = mine + irrelevant.abs()
    nothing = both == 0  # a model that says nothing owes nothing to the group
    return (mine / both.masked_fill(nothing, 1) - desired).abs()


PENALTIES: dict[str, Penalty] = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "absolute": _absolute,
    "square": _square,
    "ratio": _ratio,
}
SHARES = ("sigmoid", "softplus", "ratio")
"""Penalties whose ``desired`` is a share of the output, in [0, 1], rather than a score."""


def penalty_of(penalty: Any) -> Penalty:
    """Return a penalty given by name or as a function."""
    if callable(penalty):
        found: Penalty = penalty
        return found
    if penalty not in PENALTIES:
        listed = ", ".join(map(repr, PENALTIES))
        raise ValueError(f"penalty must be one of {listed} or a function, got {describe(penalty)}")
    return PENALTIES[penalty]


def desired_like(scores: Tensor, desired: Any, penalty: Any) -> Tensor:
    """Return what scores should be, in a shape that broadcasts with [batch, groups, *outputs].

    Raises
    ------
    ValueError
        If a shape does not fit, or a share is not in [0, 1].
    TypeError
        If it is neither a number nor a real tensor.
    """
    if not isinstance(desired, Tensor):
        desired = scores.new_tensor(check_number("desired", desired))
    check_real("desired", desired)
    check_device("desired", desired, scores.device)
    check_finite("desired", desired)
    if penalty in SHARES and desired.numel() and not 0 <= desired.min() <= desired.max() <= 1:
        raise ValueError(
            f"desired must be in [0, 1], a share, for the penalty {penalty!r}, "
            f"got {float(desired.min()):g} to {float(desired.max()):g}"
        )
    sizes = tuple(scores.shape)
    if 2 <= desired.dim() < scores.dim():  # for each group, whatever outputs are scored
        desired = desired.reshape(*desired.shape, *[1] * (scores.dim() - desired.dim()))
    fits = desired.dim() in (0, scores.dim()) and all(
        have in (1, want) for have, want in zip(desired.shape, sizes, strict=False)
    )
    if not fits:
        raise ValueError(
            f"desired must be a number or have shape {list(sizes[:2])} of examples and groups, "
            f"or that of the scores, {list(sizes)}, got {list(desired.shape)}"
        )
    wanted: Tensor = desired.to(scores.dtype)
    return wanted


def reduced(penalties: Tensor, there: Tensor, reduction: str) -> Tensor:
    """Bring penalties [batch, groups] to one number, or leave them.

    Parameters
    ----------
    penalties : Tensor, shape [batch, groups]
    there : Tensor, shape [batch, groups]
        bool: which examples have the group.
    reduction : "mean" or "none"
        The mean over the examples that have a group, summed over groups; or a penalty for each, 0
        where there is no such group.
    """
    penalties = torch.where(there, penalties, torch.zeros_like(penalties))
    if reduction == "none":
        return penalties
    return (penalties.sum(0) / there.sum(0).clamp(min=1)).sum()
