"""Groups of features: as masks that a caller gives, as players, and as pairs of groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_device, check_finite, check_tensor, describe
from pyxai._inputs import Players
from pyxai.game.players import feature_players

__all__ = ["Groups", "groups_of_masks", "groups_of_players", "interactions_of"]

Which = slice | Tensor  # a run of groups, or their numbers
Maker = Callable[[slice, Which], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Groups:
    """Some groups of each example, made when a pass asks for them.

    Attributes
    ----------
    count : int
        How many groups an example has.
    masks : callable
        From examples, a slice, and groups, a slice or int64 numbers, to one tensor [examples,
        groups, *features] for each input: 1 where a feature is in the group and 0 elsewhere, in the
        dtype of the scores.
    starts : callable or None
        The same for the relevant parts of the inputs, where these are not inputs times masks.
    """

    count: int
    masks: Maker
    starts: Maker | None = None

    def some(self, numbers: Tensor) -> Groups:
        """Return the groups of some numbers, int64 [n] on the CPU, which indexes any device."""

        def of(make: Maker) -> Maker:
            return lambda examples, which: make(examples, numbers[which])

        starts = None if self.starts is None else of(self.starts)
        return Groups(len(numbers), of(self.masks), starts)


def mask_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype of masks of an input; words have scores in float32 or what is wider."""
    return tensor.dtype if tensor.is_floating_point() else torch.float32


def groups_of_masks(groups: Any, inputs: tuple[Tensor, ...], name: str = "groups") -> Groups:
    """Check masks and return them as groups.

    Parameters
    ----------
    groups : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
        Truth values, or numbers from 0 to 1; sizes of features may be 1 to broadcast.
    inputs : tuple of Tensor, shape [batch, *features]
    name : str
        What messages call the masks.

    Raises
    ------
    TypeError
        If something is not a tensor.
    ValueError
        If a shape or a device does not fit, or a number is not from 0 to 1.
    """
    given = groups if isinstance(groups, (tuple, list)) else (groups,)
    if len(given) != len(inputs):
        raise ValueError(
            f"{name} must have {len(inputs)} entries, one per input tensor, got {describe(groups)}"
        )
    several = len(inputs) > 1
    for place, (mask, tensor) in enumerate(zip(given, inputs, strict=True)):
        _check_mask(f"{name}[{place}]" if several else name, mask, tensor)
    counts = {mask.shape[1] for mask in given}
    if len(counts) != 1:
        raise ValueError(f"{name} must be as many for each input tensor, got {sorted(counts)}")

    def masks(examples: slice, which: Which) -> tuple[Tensor, ...]:
        found = []
        for mask, tensor in zip(given, inputs, strict=True):
            part = mask if len(mask) == 1 else mask[examples]
            part = part[:, which].to(mask_dtype(tensor))
            sizes = (examples.stop - examples.start, part.shape[1])
            found.append(part.expand(*sizes, *tensor.shape[1:]))
        return tuple(found)

    return Groups(counts.pop(), masks)


def _check_mask(name: str, mask: Any, tensor: Tensor) -> None:
    check_tensor(name, mask)
    check_device(name, mask, tensor.device)
    batch, *features = tensor.shape
    fits = (
        mask.dim() == tensor.dim() + 1
        and mask.shape[0] in (1, batch)
        and mask.shape[1] > 0
        and all(have in (1, want) for have, want in zip(mask.shape[2:], features, strict=True))
    )
    if not fits:
        first = dict.fromkeys((batch, 1))
        wanted = " or ".join(
            f"[{rows}, groups{''.join(f', {size}' for size in features)}]" for rows in first
        )
        raise ValueError(f"{name} must have shape {wanted}, got {list(mask.shape)}")
    if mask.is_complex():
        raise TypeError(f"{name} must be real, got {mask.dtype}")
    check_finite(name, mask)
    low, high = float(mask.min()), float(mask.max())
    if low < 0 or high > 1:
        raise ValueError(f"{name} must be from 0 to 1, got {low if low < 0 else high:g}")


def groups_of_players(players: Players, inputs: tuple[Tensor, ...]) -> Groups:
    """Return each player of a feature mask as a group."""

    def masks(examples: slice, which: Which) -> tuple[Tensor, ...]:
        found = []
        for owners, tensor in zip(players.maps, inputs, strict=True):
            of = feature_players(tensor, owners)
            of = of if len(of) == 1 else of[examples]
            numbers = torch.arange(players.n_players, device=tensor.device)[which]
            numbers = numbers.view(1, -1, *[1] * (tensor.dim() - 1))
            part = (of.unsqueeze(1) == numbers).to(mask_dtype(tensor))
            found.append(part.expand(examples.stop - examples.start, *part.shape[1:]))
        return tuple(found)

    return Groups(players.n_players, masks)


def _pairs(groups: Groups) -> tuple[Groups, Tensor]:
    """Return the unions of all pairs of groups, and the numbers of both, int64 [2, pairs].

    Raises
    ------
    ValueError
        If two groups share a feature, when the masks are made.
    """
    pairs = torch.triu_indices(groups.count, groups.count, 1)

    def both(make: Maker, examples: slice, which: Which) -> list[tuple[Tensor, Tensor]]:
        return [
            (each[:, pairs[0, which].to(each.device)], each[:, pairs[1, which].to(each.device)])
            for each in make(examples, slice(0, groups.count))
        ]

    def masks(examples: slice, which: Which) -> tuple[Tensor, ...]:
        found = []
        for first, second in both(groups.masks, examples, which):
            if groups.starts is None and bool(((first > 0) & (second > 0)).any()):
                raise ValueError(
                    "groups must have no feature in common for interactions, got two with one"
                )
            found.append((first + second).clamp(max=1))
        return tuple(found)

    if groups.starts is None:
        return Groups(pairs.shape[1], masks), pairs
    parts = groups.starts

    def starts(examples: slice, which: Which) -> tuple[Tensor, ...]:
        return tuple(first + second for first, second in both(parts, examples, which))

    return Groups(pairs.shape[1], masks, starts), pairs


def interactions_of(score: Callable[[Groups], Tensor], groups: Groups) -> Tensor:
    """Return what pairs of groups score beyond what each scores by itself.

    Parameters
    ----------
    score : callable
        Returns the scores of groups, [batch, groups, ...].
    groups : Groups

    Returns
    -------
    Tensor, shape [batch, groups, groups, ...]
        ``I(S, U) = score(S and U) - score(S) - score(U)``: symmetric, 0 on the diagonal.

    Raises
    ------
    ValueError
        If groups share a feature.
    """
    pairs, which = _pairs(groups)
    alone = score(groups)
    found = alone.new_zeros(alone.shape[0], groups.count, *alone.shape[1:])
    if pairs.count:
        first, second = which.to(alone.device)
        together = score(pairs)
        found[:, first, second] = together - alone[:, first] - alone[:, second]
        found[:, second, first] = found[:, first, second]
    return found
