"""What is there of an audit, shard by shard: rows as arrays, maps where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from pyxai._checks import check_choice, describe
from pyxai.audit.maps import DTYPES, StoredMaps
from pyxai.audit.storage import Folder, digest_of_file, pyarrow

__all__ = ["DoneShards"]


class DoneShards:
    """What is there of an audit, shard by shard.

    Attributes
    ----------
    folder : Folder
        Where it is.
    plan : dict
        What was asked.
    methods : tuple of str
        Names of the methods.
    """

    def __init__(self, folder: Folder, plan: dict[str, Any]) -> None:
        self.folder, self.plan = folder, plan
        self.methods = tuple(each["name"] for each in plan["methods"])
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}  # of maps, by method

    @property
    def size(self) -> int:
        """How many examples a shard has; the last one may have fewer."""
        return int(self.plan["shard_size"])

    @property
    def count(self) -> int:
        """How many shards there are in the end."""
        return -(-int(self.plan["n_examples"]) // self.size)

    def numbers(self) -> list[int]:
        """Return the numbers of the shards that are done."""
        return [each for each in range(self.count) if self.folder.mark(each).is_file()]

    def rows(self) -> Iterator[tuple[int, Any]]:
        """Yield number and rows of each, as pyarrow tables; raises as `Folder.read_rows`."""
        for shard in self.numbers():
            yield shard, self.folder.read_rows(shard)

    def by_method(self, column: str) -> Any:
        """Return a column as an array [n_examples, n_methods]; of errors whether there is one.

        Raises
        ------
        ValueError
            If no shard is done, or a file is not as it was written.
        """
        parts = []
        for _, table in self.rows():
            values = table.column(column)
            if column == "error":
                values = pyarrow().compute.is_valid(values)
            values = values.to_numpy(zero_copy_only=False)
            values = values if column == "error" else np.asarray(values, np.float64)
            parts.append(values.reshape(-1, len(self.methods)))
        if not parts:
            raise ValueError(f"out must have a shard that is done, got none in {self.folder.path}")
        return np.concatenate(parts)

    def map_shapes(self, method: str) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of a method's stored maps of one example, one for each input.

        Raises
        ------
        ValueError
            If there is no such method, no maps were kept, or no example is explained.
        """
        check_choice("method", method, self.methods)
        if self.plan["maps"] is None:
            raise ValueError("maps must have been kept to be read, got an audit with maps=False")
        for shard in self.numbers() if method not in self._shapes else ():
            shapes = self.stored_maps(shard).shapes_of(method)
            if shapes:
                self._shapes[method] = shapes
                break
        if method not in self._shapes:
            raise ValueError(f"{method} must have explained an example, got none")
        return self._shapes[method]

    def stored_maps(self, shard: int) -> StoredMaps:
        """Return the maps of a shard as they are stored.

        Raises
        ------
        ValueError
            If the shard is not done, or not as it was written.
        """
        if not self.folder.mark(shard).is_file():
            raise ValueError(f"out must have shard {shard} done for these examples, got it missing")
        path, mark = self.folder.maps(shard), self.folder.read_mark(shard)
        if mark["files"].get(path.name) != digest_of_file(path):
            raise ValueError(
                f"out must hold shards as they were written, got a changed {str(path)!r}"
            )
        tensors, header = self.folder.read_maps(shard)
        return StoredMaps(tensors, header["shapes"], mark["rows"][1] - mark["rows"][0])

    def parts_of(
        self, stored: StoredMaps, method: str, rows: slice | list[int]
    ) -> tuple[Tensor, ...]:
        """Return maps of some examples of a shard, by their places in it, one for each input."""
        shapes = stored.shapes_of(method) or self.map_shapes(method)
        return stored.parts(method, rows, shapes, DTYPES[self.plan["maps"]["dtype"]])

    def seconds(self, shard: int, table: Any) -> Any:
        """Return the seconds of each row of a shard; the clock is no part of the rows."""
        mark, batch = self.folder.read_mark(shard), int(self.plan["batch_size"])
        if "seconds" not in mark:
            raise ValueError(f"out must hold whole marks, got {describe(mark)} for shard {shard}")
        spent, first = mark["seconds"], mark["rows"][0]
        numbers, methods = (table.column(name).to_pylist() for name in ("id", "method"))
        return pyarrow().array(
            [spent[by][(n - first) // batch] for n, by in zip(numbers, methods, strict=True)],
            pyarrow().float64(),
        )
