"""Cut windows out of a map, and set others into what was cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["crops", "inner", "set_into"]

Places = np.ndarray[Any, np.dtype[np.int64]]  # [n]


def crops(
    whole: Tensor,
    top: Places,
    left: Places,
    height: int,
    width: int,
    image: Places | None = None,
) -> Tensor:
    """Return windows of a map: [channels, rows, columns] -> [n, channels, height, width].

    With ``image`` each is of one of several maps, [n_images, channels, rows, columns].
    """
    if image is None:
        whole, image = whole[None], np.zeros_like(top)
    at = (
        torch.from_numpy(np.ascontiguousarray(each)).to(whole.device) for each in (image, top, left)
    )
    if (height, width) == tuple(whole.shape[2:]):
        return whole[next(at)]
    everywhere = whole.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    return everywhere[tuple(at)]


def inner(windows: Tensor, down: Places, right: Places, height: int, width: int) -> Tensor | None:
    """Return what is read of windows that hold all of it, None where they do not.

    ``down`` and ``right`` say where the windows, [n, channels, h, w], lie in what is read.
    """
    rows, columns = windows.shape[2:]
    if (down != down[0]).any() or (right != right[0]).any():
        return None
    y, x = -int(down[0]), -int(right[0])
    if y < 0 or x < 0 or y + height > rows or x + width > columns:
        return None
    return windows[:, :, y : y + height, x : x + width]


def set_into(regions: Tensor, windows: Tensor, down: Places, right: Places) -> None:
    """Write windows into regions, [n, channels, height, width] both, at their places.

    What lies outside is left out. Windows at the same place are written together.
    """
    height, width = regions.shape[2:]
    rows, columns = windows.shape[2:]
    alike: dict[tuple[int, int], list[int]] = {}
    for number, place in enumerate(zip(down.tolist(), right.tolist(), strict=True)):
        alike.setdefault(place, []).append(number)
    for (y, x), numbers in alike.items():
        to_y, of_y = _overlap(y, rows, height)
        to_x, of_x = _overlap(x, columns, width)
        if to_y.start < to_y.stop and to_x.start < to_x.stop:
            chosen = _chosen(numbers)
            regions[chosen, :, to_y, to_x] = windows[chosen, :, of_y, of_x]


def _overlap(at: int, size: int, room: int) -> tuple[slice, slice]:
    """Return where a window is in a room along one axis, and which part of it."""
    start, stop = max(at, 0), min(at + size, room)
    return slice(start, stop), slice(start - at, stop - at)


def _chosen(numbers: list[int]) -> slice | list[int]:
    first, last = numbers[0], numbers[-1]
    return slice(first, last + 1) if last - first + 1 == len(numbers) else numbers
