"""The files of an audit: a plan, and for each shard its rows, its maps and a mark that it is done.

Only the marks hold what the clock said; all other files are the same bytes for the same plan.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from pyxai._extras import optional
from pyxai._files import read_tensors, remove_left, whole_file, write_tensors

__all__ = [
    "Folder",
    "parquet_of",
    "pyarrow",
    "said_of_disk",
]

PLAN = "audit.json"
STATISTICS = "statistics.parquet"
_SHARDS = "shards"
_KIND = "maps"


def pyarrow() -> Any:
    """Return pyarrow, or say how to get it."""
    with optional("audits need", "pyarrow>=15", "audit"):
        arrow = importlib.import_module("pyarrow")
        importlib.import_module("pyarrow.compute")
        importlib.import_module("pyarrow.parquet")
    return arrow


class Folder:
    """Where an audit is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / PLAN
        self.statistics = path / STATISTICS

    def make(self) -> None:
        """Make the folders.

        Raises
        ------
        OSError
            If that cannot be; the message names the argument.
        """
        with said_of_disk(self.path, "nothing was written"):
            (self.path / _SHARDS).mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what killed processes have left, also a shard that another one has done since."""
        remove_left(self.path / _SHARDS)
        for path in (self.plan, self.statistics):  # the folder may hold others' files, too
            remove_left(self.path, f".{path.name}.")

    def rows(self, shard: int) -> Path:
        """Return where the rows of a shard are."""
        return self.path / _SHARDS / f"{shard:06}.parquet"

    def maps(self, shard: int) -> Path:
        """Return where the maps of a shard are."""
        return self.path / _SHARDS / f"{shard:06}.safetensors"

    def mark(self, shard: int) -> Path:
        """Return where the mark of a shard is that is done."""
        return self.path / _SHARDS / f"{shard:06}.json"

    def write_shard(
        self, shard: int, table: Any, maps: dict[str, Tensor] | None, header: Any, mark: Any
    ) -> None:
        """Write the files of a shard, its mark last.

        Raises
        ------
        OSError
            If the disk is full, say; the message says what is left.
        """
        kept = f"shard {shard} is not done; shards that are done stay, and a new run goes on there"
        with said_of_disk(self.path, kept):
            paths = [self.rows(shard)]
            write_whole(paths[0], parquet_of(table))
            if maps is not None:
                paths.append(write_tensors(self.maps(shard), maps, kind=_KIND, header=header))
            files = {path.name: digest_of_file(path) for path in paths}
            write_json(self.mark(shard), {**mark, "files": files})

    def read_rows(self, shard: int) -> Any:
        """Return the rows of a shard as a pyarrow table.

        Raises
        ------
        ValueError
            If the file is not as it was written.
        """
        path = self.rows(shard)
        files = self.read_mark(shard).get("files", {})
        data = path.read_bytes()
        if files.get(path.name) != digest_of_bytes(data):
            raise ValueError(
                f"out must hold shards as they were written, got a changed {str(path)!r}"
            )
        return read_parquet(io.BytesIO(data))

    def read_maps(self, shard: int) -> tuple[dict[str, Tensor], Any]:
        """Return the maps of a shard, and their header; raises as `read_tensors`."""
        return read_tensors(self.maps(shard), kind=_KIND)

    def read_statistics(self) -> Any:
        """Return the statistics as a pyarrow table.

        Raises
        ------
        ValueError
            If the audit is not merged.
        """
        if not self.statistics.is_file():
            raise ValueError(f"out must be merged, got {str(self.path)!r}; see merge")
        return read_parquet(self.statistics)

    def read_mark(self, shard: int) -> dict[str, Any]:
        """Return the mark of a shard, empty where there is none or it is no mark."""
        try:
            mark = json.loads(self.mark(shard).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return mark if isinstance(mark, dict) else {}

    def state(self, shard: int, plan: str) -> str:
        """Return ``"done"``, ``"absent"``, or ``"changed"`` where the mark is not true."""
        if not self.mark(shard).exists():
            return "absent"
        mark = self.read_mark(shard)
        files = mark.get("files")
        if mark.get("plan") != plan or not isinstance(files, dict) or not files:
            return "changed"
        for name, digest in files.items():
            path = self.path / _SHARDS / str(name)
            if not path.is_file() or digest_of_file(path) != digest:
                return "changed"
        return "done"


def parquet_of(table: Any) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    file, arrow = io.BytesIO(), pyarrow()
    # A dictionary of numbers, most of which are there once, takes longer and is larger.
    texts = [field.name for field in table.schema if arrow.types.is_string(field.type)]
    arrow.parquet.write_table(table, file, use_dictionary=texts)
    return file.getvalue()


def read_parquet(file: Any) -> Any:
    """Read a table in this thread: pools of threads that pyarrow starts do not always end well."""
    return pyarrow().parquet.ParquetFile(file).read(use_threads=False)


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(data)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write a value as a text that is the same each time."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return write_whole(path, (text + "\n").encode())


def digest_of_file(path: Path) -> str:
    """Return the checksum of a file."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def digest_of_bytes(data: bytes) -> str:
    """Return the checksum that a file of these bytes has."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@contextmanager
def said_of_disk(path: Path, kept: str) -> Iterator[None]:
    """Say of an error of the disk which argument is meant, and what is left."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"out must be a folder with room that can be written to, got {error.strerror}: {kept}",
            str(path),
        ) from error
