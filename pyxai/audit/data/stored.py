"""Data in files: a Parquet table, a folder of images."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyxai._extras import optional
from pyxai.audit.data.source import READ_WHOLE, Batch, Like, Source, finite

__all__ = ["IMAGES", "ImageFolder", "ParquetSource"]

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ParquetSource(Source):
    """The columns of numbers of one Parquet file, or of the files in a folder in order of name.

    Row groups are read as they are needed. A missing number is a NaN.
    """

    kind = "parquet"

    def __init__(self, path: Path, label: str | None, like: Like) -> None:
        self.paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        self.label, self.like = label, like
        self._groups: list[tuple[int, int, int]] = []  # file, row group, first row
        self._count = 0
        with optional("Parquet files need", "pyarrow>=15", "audit"):
            parquet = importlib.import_module("pyarrow.parquet")
        schema = None
        for number, file in enumerate(self.paths):
            found = parquet.ParquetFile(file)
            names = found.schema_arrow.names
            if schema is not None and names != schema:
                raise ValueError(f"dataset must be files of equal columns, got {names} in {file}")
            schema = names
            for group in range(found.num_row_groups):
                self._groups.append((number, group, self._count))
                self._count += found.metadata.row_group(group).num_rows
        self.columns = [name for name in schema or () if name != label]
        if label is not None and label not in (schema or ()):
            raise ValueError(f"label must be a column, one of {schema}, got {label!r}")
        self._held: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs."""
        return {**self.__dict__, "_held": (-1, None)}

    def read(self, start: int, stop: int, seed: int) -> Batch:
        """Return rows, which depend on no seed."""
        parts: list[Any] = []
        labels: list[Any] = []
        for place, (_, _, first) in enumerate(self._groups):
            end = self._groups[place + 1][2] if place + 1 < len(self._groups) else self._count
            low, high = max(start, first), min(stop, end)
            if low < high:
                values, marks = self._group(place)
                parts.append(values[low - first : high - first])
                labels.append(marks[low - first : high - first])
        inputs = (self.like(np.concatenate(parts)),)
        return finite(Batch(list(range(start, stop)), inputs, np.concatenate(labels), {}))

    def facts(self) -> list[str]:
        """Return names and sizes of the files, the columns, and a hash where they are small."""
        sizes = [path.stat().st_size for path in self.paths]
        names = [f"{path.name} {size}" for path, size in zip(self.paths, sizes, strict=True)]
        state = hashlib.blake2b(digest_size=16)
        for path in self.paths if sum(sizes) <= READ_WHOLE else ():
            state.update(path.read_bytes())
        return [*names, *self.columns, state.hexdigest()]

    def _group(self, place: int) -> Any:
        if self._held[0] != place:
            parquet = importlib.import_module("pyarrow.parquet")
            file, group, _ = self._groups[place]
            table = parquet.ParquetFile(self.paths[file]).read_row_group(group, use_threads=False)
            values = np.stack([_floats(table, name) for name in self.columns], 1)
            labels = np.full(len(values), np.nan)
            labels = labels if self.label is None else _floats(table, self.label)
            self._held = place, (values, labels)
        return self._held[1]


class ImageFolder:
    """Pictures as float32 [3, height, width] in 0 .. 1; a folder inside is a class.

    Parameters
    ----------
    path : Path
        Of pictures, or of folders of pictures, one for each class.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.classes = sorted(each.name for each in path.iterdir() if each.is_dir())
        self.files = [
            (file, None if place is None else self.classes.index(place))
            for place in (self.classes or (None,))
            for file in sorted((path / place if place else path).iterdir())
            if file.suffix.lower() in IMAGES
        ]
        with optional("pictures need", "pillow>=10", "metrics"):
            importlib.import_module("PIL.Image")

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self.files)

    def names_and_sizes(self) -> list[str]:
        """Return what tells the folder from others without opening a picture."""
        places = [(str(file.relative_to(self.path)), file) for file, _ in self.files]
        return [f"{name} {file.stat().st_size}" for name, file in places]

    def __getitem__(self, number: int) -> Any:
        """Return a picture, with its class where there are classes."""
        file, label = self.files[number]
        with importlib.import_module("PIL.Image").open(file) as picture:
            values = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
        tensor = torch.from_numpy(values).permute(2, 0, 1).contiguous()
        return tensor if label is None else (tensor, label)


def _floats(table: Any, name: str) -> Any:
    column = table.column(name).to_numpy(zero_copy_only=False)
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"dataset must have columns of numbers, got {name!r} of {table.column(name).type}"
        ) from None
