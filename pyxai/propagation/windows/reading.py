"""What an op reads: windows of a pass, set into the maps that they are windows of."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from pyxai.propagation.windows.crops import crops, inner, set_into
from pyxai.propagation.windows.spans import Frame, Ints, Region
from pyxai.tracing import Node, Run

__all__ = ["Key", "Maps", "Pass", "key_of"]

Key = tuple[Node, tuple[int, int, int, int], float]


def key_of(region: Region) -> Key:
    """Return what a region needs of a map: the node, and how it is padded, with what."""
    return region.node, region.padding, region.fill


class Maps:
    """The maps of one example, padded as they are read.

    Parameters
    ----------
    values : Run
        Of the example, [1, channels, rows, columns] where they are maps.
    """

    def __init__(self, values: Run) -> None:
        self._values = values
        self._padded: dict[Key, Tensor] = {}

    def padded(self, key: Key) -> Tensor:
        """Return a map [channels, rows, columns] with what is around it."""
        if key not in self._padded:
            node, padding, fill = key
            whole: Tensor = self._values[node]
            whole = whole[(None,) * (4 - whole.dim())][0]
            self._padded[key] = F.pad(whole, padding, value=fill) if any(padding) else whole
        return self._padded[key]

    def whole(self, region: Region) -> Tensor:
        """Return the map that a region is part of, [channels, rows, columns]."""
        return self.padded(key_of(region))


class Pass:
    """The windows of some patches, as far as they are computed.

    Parameters
    ----------
    frames : dict of Node to Frame
        Where windows are.
    maps : Maps
        What they are windows of.
    rows, columns : int64 [n_patches]
        Which of the ways of lying along an axis each patch has.
    """

    def __init__(self, frames: Mapping[Node, Frame], maps: Maps, rows: Ints, columns: Ints) -> None:
        self.frames, self.maps = frames, maps
        self.rows, self.columns = rows, columns
        self.windows: dict[Node, Tensor] = {}

    def around(self, region: Region) -> Tensor:
        """Return what a region is of the map without the windows."""
        top, left = region.rows.start[self.rows], region.columns.start[self.columns]
        return crops(self.maps.whole(region), top, left, region.rows.size, region.columns.size)

    def read(self, region: Region) -> Tensor:
        """Return what is read of a map, [n, channels, height, width]: windows in what is around."""
        windows = self.windows.get(region.node)
        if windows is None:
            return self.around(region)
        top, left = region.rows.start[self.rows], region.columns.start[self.columns]
        frame = self.frames[region.node]
        down = frame.rows.start[self.rows] + region.rows.before - top
        right = frame.columns.start[self.columns] + region.columns.before - left
        found = inner(windows, down, right, region.rows.size, region.columns.size)
        if found is None:
            found = self.around(region)
            set_into(found, windows, down, right)
        return found
