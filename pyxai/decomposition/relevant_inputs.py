"""Groups that are no masks: any part of the inputs, such as what a filter lets through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_device, check_finite, check_real, check_tensor, describe
from pyxai._inputs import flat_features
from pyxai.decomposition.groups import Groups, Which, groups_of_masks

__all__ = ["RelevantInputs", "groups_of"]


@dataclass(frozen=True, eq=False)
class RelevantInputs:
    """The relevant part of the inputs itself, in place of masks.

    The rest is what is left of the inputs, so that a group may be a frequency, a band, or anything
    else that adds up to them [1]_. `ContextualDecomposition` takes it for ``groups``.

    Parameters
    ----------
    values : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
        In input units, for inputs of floating point; of any sign and size.

    Notes
    -----
    Where ties are decided by coverage, a feature x belongs to the group by ``|r| / (|r| + |x -
    r|)`` of its relevant part r, and features that are 0 in both by the mean of the others.

    References
    ----------
    .. [1] C. Singh et al., "Transformation Importance with Applications to Cosmology", 2020.

    Examples
    --------
    >>> from pyxai.decomposition import ContextualDecomposition, RelevantInputs
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> level = x.mean(1, keepdim=True).expand(1, 3)  # frequency 0, and all others
    >>> layer = torch.nn.Linear(3, 1, bias=False)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(torch.tensor([[1.0, 0.0, 2.0]]))
    >>> ContextualDecomposition(layer).scores(
    ...     x, RelevantInputs(torch.stack([level, x - level], 1))
    ... )
    tensor([[6., 1.]])
    """

    values: Tensor | tuple[Tensor, ...]


def groups_of(groups: Any, inputs: tuple[Tensor, ...]) -> Groups:
    """Check masks, or relevant parts of the inputs, and return them as groups.

    Parameters
    ----------
    groups : Tensor, tuple of Tensor, or RelevantInputs
    inputs : tuple of Tensor, shape [batch, *features]

    Raises
    ------
    TypeError
        If something is not a tensor, or inputs of whole numbers are to be divided.
    ValueError
        If a shape or a device does not fit, or a number is not finite.
    """
    if not isinstance(groups, RelevantInputs):
        return groups_of_masks(groups, inputs)
    values = groups.values
    given = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    if len(given) != len(inputs):
        raise ValueError(
            f"groups must have {len(inputs)} entries, one per input tensor, got {describe(values)}"
        )
    for part, x in zip(given, inputs, strict=True):
        _check(part, x)
    count = given[0].shape[1]
    if any(part.shape[1] != count for part in given):
        sizes = sorted({part.shape[1] for part in given})
        raise ValueError(f"groups must be as many for each input tensor, got {sizes}")

    def starts(examples: slice, which: Which) -> tuple[Tensor, ...]:
        found = []
        for part, x in zip(given, inputs, strict=True):
            some = (part if len(part) == 1 else part[examples])[:, which].to(x.dtype)
            found.append(some.expand(examples.stop - examples.start, *some.shape[1:]))
        return tuple(found)

    def masks(examples: slice, which: Which) -> tuple[Tensor, ...]:
        parts = starts(examples, which)
        return tuple(_shares(part, x[examples]) for part, x in zip(parts, inputs, strict=True))

    return Groups(count, masks, starts)


def _check(part: Any, x: Tensor) -> None:
    check_tensor("groups", part)
    check_real("groups", part)
    check_device("groups", part, x.device)
    if not x.is_floating_point():
        raise TypeError(f"groups must be masks for inputs of whole numbers, got {x.dtype} inputs")
    batch, *features = x.shape
    fits = part.dim() == x.dim() + 1 and part.shape[0] in (1, batch) and part.shape[1] > 0
    if not fits or list(part.shape[2:]) != features:
        wanted = ", ".join(("batch or 1", "groups", *map(str, features)))
        raise ValueError(f"groups must have shape [{wanted}], got {list(part.shape)}")
    check_finite("groups", part)


def _shares(part: Tensor, x: Tensor) -> Tensor:
    """Return which share of each feature belongs to the group, [examples, groups, *features]."""
    part = part.detach()
    mine, others = part.abs(), (x.detach()[:, None] - part).abs()
    both = mine + others
    nothing = both == 0
    shares = torch.where(nothing, 0.0, mine / both.masked_fill(nothing, 1)).to(part.dtype)
    sums, counts = (
        flat_features(each.flatten(0, 1)).sum(1).view(*part.shape[:2], *[1] * (part.dim() - 2))
        for each in (shares, (~nothing).to(part.dtype))
    )
    return torch.where(nothing, sums / counts.clamp(min=1), shares)
