"""Maps as a Zarr store: shard by shard, so that memory holds one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxai._extras import optional
from pyxai._files import whole_folder
from pyxai.audit.export.labelled import array_of, attributes_of, coordinates_of, variables

if TYPE_CHECKING:
    from pyxai.audit.results import Audit

__all__ = ["write_zarr"]

_NUMBERS = 2**24  # of a chunk at most: 64 MB in float32


def write_zarr(found: Audit, path: Path, methods: str | Sequence[str] | None) -> Path:
    """Write a store; see `Audit.to_zarr`."""
    with optional("to_zarr needs", "zarr>=2.18", "zarr"):
        zarr = importlib.import_module("zarr")
    listed = variables(found, methods)
    size = found.shards.size
    with whole_folder(path) as folder:
        # Only version 3 can write another format than 2.
        later = int(zarr.__version__.split(".")[0]) > 2
        group = zarr.open_group(str(folder), mode="w", **({"zarr_format": 2} if later else {}))
        facts = coordinates_of(found)
        aside = " ".join(name for name in facts if name != "id")  # as xarray writes it
        group.attrs.update({**attributes_of(found), "coordinates": aside})
        for name, values in facts.items():
            array = _new_array(group, name, values.shape, values.shape, values.dtype, ("id",))
            array[:] = values
        arrays, steps = {}, {}
        for each in listed:
            numbers = prod(each.shape[1:])
            pieces = ceil(min(size, len(found)) * numbers / _NUMBERS)
            steps[each.name] = ceil(min(size, len(found)) / max(1, pieces))
            chunks = (steps[each.name], *each.shape[1:])
            arrays[each.name] = _new_array(
                group, each.name, each.shape, chunks, each.dtype, each.dims
            )
        for shard in range(found.n_shards):
            stored = found.shards.stored_maps(shard)
            for each in listed:
                step = steps[each.name]
                for start in range(0, stored.rows, step):
                    rows = slice(start, min(start + step, stored.rows))
                    part = found.shards.parts_of(stored, each.method, rows)[each.number]
                    first = shard * size + start
                    arrays[each.name][first : first + len(part)] = array_of(part)
        zarr.consolidate_metadata(str(folder), **({"zarr_format": 2} if later else {}))
    return path


def _new_array(
    group: Any,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    dims: tuple[str, ...],
) -> Any:
    """Make an array whose dimensions have names, as xarray writes them; NaN where none is set."""
    make = getattr(group, "create_array", None) or group.create_dataset
    fill = np.nan if dtype.kind == "f" else None  # 0 would stand for nothing where it is read
    array = make(
        name,
        shape=shape,
        chunks=tuple(max(1, each) for each in chunks),
        dtype=dtype,
        fill_value=fill,
    )
    array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return array
