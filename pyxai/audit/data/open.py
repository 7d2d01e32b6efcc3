"""Find out what a data set is, and make a source of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from pyxai._checks import describe
from pyxai.audit.data.memory import IndexedSource, IteratedSource, TensorSource, is_labels
from pyxai.audit.data.source import Like, Source
from pyxai.audit.data.stored import ImageFolder, ParquetSource
from pyxai.runner import as_tensors

__all__ = ["open_source"]


def open_source(dataset: Any, label: str | None, like: Like) -> Source:
    """Return a data set as a source.

    Raises
    ------
    TypeError
        If it is none of the forms that `pyxai.audit.audit` lists.
    ValueError
        If it has no examples, or ``label`` names no column.
    """
    source = _opened(dataset, label, like)
    if label is not None and source.kind not in ("table", "parquet"):
        raise ValueError(f"label must be None but for tables and Parquet files, got {label!r}")
    if not len(source):
        raise ValueError(f"dataset must have at least one example, got none in {_named(dataset)}")
    return source


def _opened(dataset: Any, label: str | None, like: Like) -> Source:
    if isinstance(dataset, (str, Path)):
        return _of_path(Path(dataset), label, like)
    if isinstance(dataset, DataLoader):
        return _of_loader(dataset, like)
    if isinstance(dataset, TensorDataset):
        return _of_arrays(dataset.tensors, like)
    if hasattr(dataset, "columns") and hasattr(dataset, "iloc"):
        return _of_table(dataset, label, like)
    if isinstance(dataset, (Tensor, np.ndarray)):
        return _of_arrays((dataset,), like)
    if isinstance(dataset, tuple) and all(isinstance(x, (Tensor, np.ndarray)) for x in dataset):
        return _of_arrays(dataset, like)
    if isinstance(dataset, (Mapping, bytes, int, float)):
        raise TypeError(
            f"dataset must be a data set, arrays, a table or a path, got {_named(dataset)}"
        )
    if isinstance(dataset, IterableDataset):
        return IteratedSource(dataset, like)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return IndexedSource(dataset, like)
    if isinstance(dataset, Iterable):
        return IteratedSource(dataset, like)
    raise TypeError(f"dataset must be a data set, arrays, a table or a path, got {_named(dataset)}")


def _of_path(path: Path, label: str | None, like: Like) -> Source:
    if path.is_dir() and not any(path.glob("*.parquet")):
        source = IndexedSource(ImageFolder(path), like)
        source.kind = "images"
        return source
    if path.is_dir() or (path.is_file() and path.suffix == ".parquet"):
        return ParquetSource(path, label, like)
    known = "a Parquet file, a folder of these, or a folder of pictures"
    if not path.exists():
        raise FileNotFoundError(f"dataset must be {known}, got {str(path)!r}, which is not there")
    raise ValueError(f"dataset must be {known}, got {str(path)!r}")


def _of_loader(loader: Any, like: Like) -> Source:
    """Return the data set of a loader, in its own order: an example's number is that in there."""
    if loader.batch_size is None and loader.batch_sampler is None:
        raise ValueError("dataset must be a DataLoader that makes batches, got batch_size=None")
    own = loader.collate_fn is not default_collate
    change = partial(_collated, loader.collate_fn) if own else None
    if isinstance(loader.dataset, IterableDataset):
        return IteratedSource(loader.dataset, like, change)
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if type(sampler) not in (SequentialSampler, RandomSampler) or (
        isinstance(sampler, RandomSampler)
        and (sampler.replacement or len(sampler) != len(loader.dataset))
    ):
        raise ValueError(
            "dataset must be a DataLoader over each example once, got one with a "
            f"{type(sampler).__name__}; give a torch.utils.data.Subset instead"
        )
    if isinstance(loader.dataset, TensorDataset) and change is None:
        return _of_arrays(loader.dataset.tensors, like)
    return IndexedSource(loader.dataset, like, change)


def _collated(collate: Any, item: Any) -> Any:
    """Return one example as a loader's own function would put it into a batch."""
    batch = collate([item])
    parts = batch if isinstance(batch, (tuple, list)) else [batch]
    return tuple(part[0] for part in parts)


def _of_arrays(arrays: tuple[Any, ...], like: Like) -> Source:
    for array in arrays:
        if not array.ndim or len(array) != len(arrays[0]):
            raise ValueError(
                "dataset must have arrays of one row for each example, got shapes "
                f"{[list(each.shape) for each in arrays]}"
            )
    labelled = len(arrays) > 1 and is_labels(arrays[-1])
    return TensorSource(arrays[:-1] if labelled else arrays, arrays[-1] if labelled else None, like)


def _of_table(table: Any, label: str | None, like: Like) -> Source:
    labels = None
    if label is not None:
        if label not in table.columns:
            raise ValueError(
                f"label must be a column, one of {[*map(str, table.columns)]}, got {label!r}"
            )
        labels, table = table[label].to_numpy(), table.drop(columns=[label])
        if np.asarray(labels).dtype.kind not in "biuf":
            raise TypeError(f"label must name a column of numbers, got {label!r} of {labels.dtype}")
    values = as_tensors(torch.nn.Identity(), {"inputs": table})["inputs"]
    source = TensorSource((values.numpy(),), labels, like)
    source.kind = "table"
    return source


def _named(value: Any) -> str:
    return repr(str(value)) if isinstance(value, Path) else describe(value)
