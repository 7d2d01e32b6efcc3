"""What an agglomeration joins: the words, pixels, patches or superpixels of one input.

A group of units is an integer whose bit u says whether unit u is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai._inputs import format_feature_mask

__all__ = [
    "BoolArray",
    "IntArray",
    "Units",
    "around",
    "find_units",
    "group_of",
    "pieces",
    "units_in",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
LAYOUTS = ("text", "image")

# Pairs of neighbouring positions, as slices of the two; the last two are the diagonals.
_ROW = ((slice(None, -1),), (slice(1, None),))
_SIDES = (
    ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
)
_CORNERS = (
    ((slice(None, -1), slice(None, -1)), (slice(1, None), slice(1, None))),
    ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))),
)


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one input, in the order of their first positions, line by line.

    Attributes
    ----------
    of : ndarray, shape [n_words] or [height, width]
        int64 unit of each position.
    sides, corners : tuple of int
        Group of the neighbours of each unit: those that share a side of a position with it, and
        those that share a side or a corner.
    layout : {"text", "image"}
        How positions are arranged.
    """

    of: IntArray
    sides: tuple[int, ...]
    corners: tuple[int, ...]
    layout: str

    @property
    def count(self) -> int:
        """How many units there are."""
        return len(self.sides)

    @property
    def everything(self) -> int:
        """The group of all units."""
        return (1 << self.count) - 1

    def masks(self, groups: Sequence[int], inputs: Tensor) -> Tensor:
        """Return groups as masks of an input, bool [1, n_groups, *features], to be broadcast."""
        members = np.stack([chosen_in(group, self.count) for group in groups])
        masks = torch.from_numpy(members[:, self.of]).to(inputs.device)[None]
        if self.layout == "text":
            return masks.view(*masks.shape, *[1] * (inputs.dim() - 2))
        return masks.view(*masks.shape[:2], *[1] * (inputs.dim() - 3), *masks.shape[2:])


def group_of(chosen: BoolArray) -> int:
    """Return the group of the units that are chosen, bool [n_units]."""
    return int.from_bytes(np.packbits(chosen, bitorder="little").tobytes(), "little")


def chosen_in(group: int, count: int) -> BoolArray:
    """Return which of ``count`` units are in a group, bool [count]."""
    raw = np.frombuffer(group.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(raw, count=count, bitorder="little").astype(bool)


def units_in(group: int) -> tuple[int, ...]:
    """Return the units of a group, ascending."""
    return tuple(np.flatnonzero(chosen_in(group, group.bit_length())).tolist())


def around(group: int, near: Sequence[int]) -> int:
    """Return the group of all neighbours of a group."""
    found = 0
    for unit in units_in(group):
        found |= near[unit]
    return found & ~group


def pieces(group: int, near: Sequence[int]) -> Iterator[int]:
    """Yield the connected parts of a group, by their first units."""
    while group:
        piece = edge = group & -group
        while edge:
            edge = around(edge, near) & group & ~piece
            piece |= edge
        yield piece
        group &= ~piece


def find_units(inputs: Tensor, feature_mask: Any, layout: str | None) -> list[Units]:
    """Return the units of each example of a batch.

    Raises
    ------
    ValueError
        If ``layout`` is not known or does not fit the inputs, or units are in pieces.
    """
    layout = _layout(inputs, layout)
    if feature_mask is None:
        sizes = inputs.shape[1:2] if layout == "text" else inputs.shape[-2:]
        return [_units(np.arange(sizes.numel()).reshape(sizes), layout)] * len(inputs)
    (owners,) = format_feature_mask(feature_mask, (inputs,)).maps
    assert owners is not None  # since a mask was given
    maps = owners.flatten(2) if owners.dim() > 2 and layout == "text" else owners
    if layout == "image":
        maps = owners.unsqueeze(1) if owners.dim() == 3 else owners
        maps = maps.movedim(1, -1)  # [examples, height, width, channels]
    elif maps.dim() == 2:
        maps = maps.unsqueeze(2)
    if not bool((maps == maps[..., :1]).all()):
        what = "channels of a pixel" if layout == "image" else "features of a word"
        raise ValueError(f"feature_mask must give all {what} one number, got several")
    found = [_units(_renumbered(row), layout) for row in maps[..., 0].cpu().numpy()]
    return found if len(found) > 1 else found * len(inputs)


def _layout(inputs: Tensor, layout: str | None) -> str:
    if layout is None:
        layout = {2: "text", 4: "image"}.get(inputs.dim())
        if layout is None:
            raise ValueError(
                "layout must be 'text' or 'image' where inputs have neither 2 dimensions (words) "
                f"nor 4 (images), got None for inputs of shape {list(inputs.shape)}"
            )
    check_choice("layout", layout, LAYOUTS)
    least, most = (2, None) if layout == "text" else (3, 4)
    if inputs.dim() < least or (most is not None and inputs.dim() > most):
        wanted = (
            "[batch, n_words, ...]" if layout == "text" else "[batch, (channels,) height, width]"
        )
        raise ValueError(f"inputs must have shape {wanted}, got {list(inputs.shape)}")
    return layout


def _renumbered(owners: npt.NDArray[Any]) -> IntArray:
    """Give units numbers from 0, in the order of their first positions."""
    _, first, which = np.unique(owners, return_index=True, return_inverse=True)
    places: IntArray = np.argsort(np.argsort(first))[which].reshape(owners.shape)
    return places


def _units(of: IntArray, layout: str) -> Units:
    sides, corners = ((_ROW,), ()) if layout == "text" else (_SIDES, _CORNERS)
    count = int(of.max()) + 1
    if count < of.size:
        _check_connected(of, (*sides, *corners))
    beside = _neighbours(of, sides, count)
    return Units(of, beside, _neighbours(of, (*sides, *corners), count), layout)


def _neighbours(of: IntArray, shifts: Sequence[Any], count: int) -> tuple[int, ...]:
    near = [0] * count
    for first, second in shifts:
        pairs = np.stack([of[first].ravel(), of[second].ravel()])
        for a, b in np.unique(pairs[:, pairs[0] != pairs[1]], axis=1).T.tolist():
            near[a] |= 1 << b
            near[b] |= 1 << a
    return tuple(near)


def _check_connected(of: IntArray, shifts: Sequence[Any]) -> None:
    """Raise unless the positions of each unit hang together, also over corners."""
    parts = np.arange(of.size).reshape(of.shape)
    while True:  # the smallest number of a part spreads through it
        before = parts.copy()
        for first, second in shifts:
            low = np.minimum(parts[first], parts[second])
            same = of[first] == of[second]
            for place in (first, second):
                parts[place] = np.where(same, np.minimum(parts[place], low), parts[place])
        if np.array_equal(parts, before):
            break
    owners = of.ravel()[np.unique(parts)]
    if owners.size > np.unique(owners).size:
        unit = int(np.argmax(np.bincount(owners)))
        position = np.argwhere(of == unit)[0].tolist()
        raise ValueError(
            "feature_mask must give a number to connected features, got the one at position "
            f"{position} in {np.bincount(owners)[unit]} pieces"
        )
