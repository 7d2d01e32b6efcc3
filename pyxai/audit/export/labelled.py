"""Maps with names and coordinates: what an ``xarray.Dataset`` of an audit holds."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai._extras import optional
from pyxai.audit.maps import DTYPES

if TYPE_CHECKING:
    from pyxai.audit.results import Audit

__all__ = ["MapVariable", "array_of", "attributes_of", "coordinates_of", "dataset_of", "variables"]


@dataclass(frozen=True)
class MapVariable:
    """The maps of a method for one of the inputs, of all examples."""

    name: str
    method: str
    number: int
    """Of the input."""
    shape: tuple[int, ...]
    """[n_examples, *features]."""
    dims: tuple[str, ...]
    dtype: np.dtype[Any]


def variables(found: Audit, methods: str | Sequence[str] | None) -> list[MapVariable]:
    """Return the variables of an audit that is complete; raises as `Audit.to_xarray`."""
    methods = (methods,) if isinstance(methods, str) else methods
    names = found.methods if methods is None else methods
    for method in names:
        check_choice("methods", method, found.methods)
    if not names:
        raise ValueError("methods must name at least one method, got none")
    if not found.complete:
        raise ValueError(f"out must be complete to be exported, got {found!r}")
    sizes: dict[str, int] = {}
    listed = []
    for method in dict.fromkeys(names):
        shapes = found.shards.map_shapes(method)
        for number, shape in enumerate(shapes):
            end = f"_{number}" if len(shapes) > 1 else ""
            dims = [f"dim_{axis}{end}" for axis in range(1, len(shape) + 1)]
            dims = [f"feature{end}"] if len(shape) == 1 else dims
            # A size belongs to the first method that has it; another's gets a name of its own.
            dims = [
                dim if sizes.setdefault(dim, size) == size else f"{method}_{dim}"
                for dim, size in zip(dims, shape, strict=True)
            ]
            name = f"{method}.{number}" if len(shapes) > 1 else method
            full = (len(found), *shape)
            dtype = array_of(torch.zeros(0, dtype=DTYPES[found.plan["maps"]["dtype"]])).dtype
            listed.append(MapVariable(name, method, number, full, ("id", *dims), dtype))
    return listed


def coordinates_of(found: Audit) -> dict[str, Any]:
    """Return the coordinates of the examples of a complete audit, as arrays."""
    coordinates: dict[str, Any] = {"id": np.arange(len(found))}
    for name in ("target", "label", "prediction"):
        values = found.shards.by_method(name)[:, 0]  # the same by all methods
        whole = name != "label" and not np.isnan(values).any()
        coordinates[name] = values.astype(np.int64) if whole else values
    return coordinates


def attributes_of(found: Audit) -> dict[str, str]:
    """Return what the whole is described by."""
    return {"audit": json.dumps(found.plan, sort_keys=True)}


def array_of(tensor: Tensor) -> Any:
    """Return a tensor as an array; bfloat16, which NumPy lacks, as float32."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def dataset_of(found: Audit, methods: str | Sequence[str] | None) -> Any:
    """Return an ``xarray.Dataset``; see `Audit.to_xarray`."""
    with optional("to_xarray needs", "xarray"):
        xarray = importlib.import_module("xarray")
        indexing = importlib.import_module("xarray.core.indexing")
    listed = variables(found, methods)
    lazy = _lazy_array()
    return xarray.Dataset(
        {
            each.name: xarray.Variable(each.dims, indexing.LazilyIndexedArray(lazy(found, each)))
            for each in listed
        },
        coords={name: (("id",), values) for name, values in coordinates_of(found).items()},
        attrs=attributes_of(found),
    )


@functools.cache
def _lazy_array() -> Any:
    """Return the class of arrays that are read by parts; xarray is there by now."""
    backends: Any = importlib.import_module("xarray.backends")
    indexing = importlib.import_module("xarray.core.indexing")

    class LazyMaps(backends.BackendArray):  # type: ignore[misc] # of an optional package
        """Maps that are read when they are indexed."""

        def __init__(self, found: Audit, variable: MapVariable) -> None:
            self.found, self.variable = found, variable
            self.shape, self.dtype = variable.shape, variable.dtype

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(
                key, self.shape, indexing.IndexingSupport.OUTER, self._read
            )

        def _read(self, key: tuple[Any, ...]) -> Any:
            first, *rest = key
            numbers = np.arange(self.shape[0])[first]
            values = _maps_of(self.found, self.variable, np.atleast_1d(numbers))
            for axis in range(len(rest), 0, -1):  # from behind: a number takes its axis away
                values = values[(slice(None),) * axis + (rest[axis - 1],)]
            return values if np.ndim(numbers) else values[0]

    return LazyMaps


def _maps_of(found: Audit, variable: MapVariable, numbers: Any) -> Any:
    """Return the maps of examples by their numbers, in any order: each shard is read once."""
    values = np.empty((len(numbers), *variable.shape[1:]), variable.dtype)
    size = found.shards.size
    for shard in np.unique(numbers // size).tolist():
        mine = np.flatnonzero(numbers // size == shard)
        places = (numbers[mine] - shard * size).tolist()
        parts = found.shards.parts_of(found.shards.stored_maps(shard), variable.method, places)
        values[mine] = array_of(parts[variable.number])
    return values
