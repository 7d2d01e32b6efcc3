"""Sliding windows over the features of an example, cut into the cells that they share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_int, describe

__all__ = ["Windows", "per_input"]


@dataclass(frozen=True)
class Windows:
    """All positions of one window over features of one shape.

    The borders of all windows cut each dimension into intervals. A cell is a box of intervals:
    every window is a union of cells, and features of a cell are in the same windows.
    """

    covers: tuple[Tensor, ...]
    """For each dimension bool [positions, size]: which features a position covers."""
    cells: tuple[Tensor, ...]
    """For each dimension bool [positions, intervals]."""
    features: Tensor
    """int32 [1, *features]: the cell of each feature."""

    @classmethod
    def slide(
        cls, shape: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...], device: str
    ) -> Windows:
        """Move ``window`` over ``shape``; the last position may stand over the edge."""
        covers, cells = [], []
        number = torch.zeros((), dtype=torch.int64)
        for size, width, stride in zip(shape, window, strides, strict=True):
            positions = math.ceil((size - width) / stride) + 1 if size else 0
            starts = torch.arange(positions) * stride
            stops = (starts + width).clamp(max=size)
            borders = torch.unique(torch.cat([starts, stops, torch.tensor([0, size])]))
            lows = borders[:-1]
            inside = torch.arange(size)
            covers.append((inside >= starts[:, None]) & (inside < stops[:, None]))
            cells.append((lows >= starts[:, None]) & (lows < stops[:, None]))
            interval = torch.searchsorted(borders, inside, right=True) - 1
            number = number[..., None] * len(lows) + interval
        return cls(
            tuple(each.to(device) for each in covers),
            tuple(each.to(device) for each in cells),
            number.to(device, torch.int32)[None],
        )

    @property
    def n_windows(self) -> int:
        """How many positions the window has."""
        return math.prod(len(each) for each in self.cells)

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return math.prod(each.shape[1] for each in self.cells)

    def hidden_cells(self, numbers: Tensor) -> Tensor:
        """Return which cells some of the windows cover, bool [n, n_cells]."""
        places = torch.unravel_index(numbers, tuple(len(each) for each in self.cells))
        hidden = torch.ones(len(numbers), 1, dtype=torch.bool, device=numbers.device)
        for place, each in zip(places, self.cells, strict=True):
            hidden = (hidden[:, :, None] & each[place][:, None, :]).flatten(1)
        return hidden

    def touching(self, cells: Tensor) -> Tensor:
        """Return the numbers of the windows that cover any of some cells, given as a bool mask."""
        hits = cells.float().view([each.shape[1] for each in self.cells])
        for each in self.cells:
            hits = torch.tensordot(hits, each.float(), dims=([0], [1]))
        return hits.flatten().nonzero()[:, 0]

    def spread(self, scores: Tensor) -> Tensor:
        """Give every feature the mean over its windows: [batch, n_windows] -> [batch, *features].

        A feature that no window covers gets 0.
        """
        total = scores.double().view(len(scores), *(len(each) for each in self.covers))
        count = torch.ones((), dtype=torch.float64, device=scores.device)
        for each in self.covers:
            # Contract the first dimension of positions, append that of features.
            total = torch.tensordot(total, each.double(), dims=([1], [0]))
            count = count[..., None] * each.sum(0).double()
        return (total / count.clamp(min=1)).to(scores.dtype)


def per_input(
    name: str, value: object, shapes: list[tuple[int, ...]], is_tuple: bool
) -> list[tuple[int, ...]]:
    """Bring sizes to one tuple of ints for each input; an int stands for all its dimensions.

    Parameters
    ----------
    name : str
        What the caller calls this argument.
    value : int, tuple of int, or for several inputs a tuple with one of these for each
        The sizes. For one input, in a tuple or not, both forms are taken.
    shapes : list of tuple of int
        Shape of the features of each input.
    is_tuple : bool
        Whether the inputs are a tuple.

    Raises
    ------
    TypeError
        If something is not an int or a tuple of them.
    ValueError
        If a count does not fit or a size is below 1.
    """
    if isinstance(value, list):
        value = tuple(value)
    if len(shapes) == 1 and isinstance(value, tuple):
        nested = len(value) == 1 and isinstance(value[0], (tuple, list))
        if is_tuple and not nested and len(value) == len(shapes[0]):
            value = (value,)  # of the only tensor
        elif nested and not is_tuple:
            value = value[0]
    if isinstance(value, int) or not is_tuple:
        value = (value,) * len(shapes)
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be an int or a tuple, got {describe(value)}")
    if len(value) != len(shapes):
        raise ValueError(
            f"{name} must have {len(shapes)} entries, one per input tensor, got {len(value)}"
        )
    return [_sizes(name, each, shape) for each, shape in zip(value, shapes, strict=True)]


def _sizes(name: str, value: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(value, int):
        value = (value,) * len(shape)
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must hold ints or tuples of ints, got {describe(value)}")
    if len(value) != len(shape):
        raise ValueError(
            f"{name} must have {len(shape)} sizes for inputs of shape "
            f"[batch, {', '.join(str(size) for size in shape)}], got {len(value)}"
        )
    return tuple(check_int(name, size, minimum=1) for size in value)
