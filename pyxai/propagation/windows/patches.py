"""The parts of an image that are replaced, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Patches"]

Ints = np.ndarray[Any, np.dtype[np.int64]]
Hidden = Callable[[Ints, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Patches:
    """Parts of an image, and the boxes around them.

    Attributes
    ----------
    boxes : int64 [n_patches, 4]
        First row of each, that behind the last, and the same of its columns.
    hidden : callable
        ``hidden(numbers, rows, columns)`` tells for some patches, [n], and rows [n, height] and
        columns [n, width] for each, which features of the image it replaces there: bool
        [n, channels, height, width].
    """

    boxes: Ints
    hidden: Hidden

    def __len__(self) -> int:
        return len(self.boxes)

    def groups(self, size: tuple[int, int], n_cuts: int) -> list[Ints]:
        """Part the patches by their size, and by where they lie in an image of some size.

        A patch near the edge changes less than one in the middle. Each axis is cut into
        ``2 * n_cuts + 1`` parts, the middle one the largest.
        """
        keys = [
            key
            for axis, length in enumerate(size)
            for key in _classes(self.boxes[:, 2 * axis : 2 * axis + 2], length, n_cuts)
        ]
        _, group = np.unique(np.stack(keys, 1), axis=0, return_inverse=True)
        return list(_members(group.reshape(-1)))


def _classes(ends: Ints, length: int, n_cuts: int) -> tuple[Ints, Ints]:
    extents = np.maximum(ends[:, 1] - ends[:, 0], 1)
    doubled = np.ceil(np.log2(extents)).astype(np.int64)
    cuts = np.arange(1, n_cuts + 1) / (2 * n_cuts + 2)
    borders = length * np.concatenate([cuts, 1 - cuts[::-1]])
    middle = (ends[:, 0] + ends[:, 1]) / 2
    return doubled, np.searchsorted(borders, middle, side="right")


def _members(group: Ints) -> Iterator[Ints]:
    order = np.argsort(group, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
