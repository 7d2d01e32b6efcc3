"""Batches of training and validation data, from tensors, data sets and loaders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, TensorDataset

from pyxai._checks import check_tensor, describe

__all__ = ["as_data_set", "batches_of", "loader_of", "n_rows"]


def as_data_set(data: Any, name: str = "data") -> Any:
    """Return tensors as a data set, and a data set or a loader as it is.

    Raises
    ------
    TypeError
        If data are of another kind.
    ValueError
        If there are not as many targets as inputs.
    """
    if isinstance(data, Tensor):
        data = (data,)
    if isinstance(data, tuple):
        parts = [check_tensor(name, part) for part in data]
        for part in parts[1:]:
            if len(part) != len(parts[0]):
                raise ValueError(
                    f"{name} must have as many targets as inputs, got {len(part)} for "
                    f"{len(parts[0])}"
                )
        return TensorDataset(*parts)
    if not isinstance(data, (Dataset, DataLoader)):
        raise TypeError(
            f"{name} must be tensors, a data set or a loader of them, got {describe(data)}"
        )
    return data


def loader_of(data: Any, size: int, seed: int | None = None, name: str = "data") -> DataLoader[Any]:
    """Return a loader of batches of ``size`` rows, in an order drawn from the seed if there is one.

    A loader is returned as it is; a stream of rows keeps its order.
    """
    rows = as_data_set(data, name)
    if isinstance(rows, DataLoader):
        return rows
    generator = torch.Generator().manual_seed(seed or 0)
    if isinstance(rows, IterableDataset):
        return DataLoader(rows, batch_size=size, generator=generator)
    order = list(range(len(rows)))
    if seed is not None:
        order = torch.randperm(len(rows), generator=generator).tolist()
    if isinstance(rows, TensorDataset):  # indexed by many rows at once
        batches: Any = BatchSampler(order, size, drop_last=False)
        return DataLoader(rows, sampler=batches, batch_size=None, generator=generator)
    return DataLoader(rows, batch_size=size, sampler=order, generator=generator)


def batches_of(
    loader: DataLoader[Any], device: torch.device, name: str = "data"
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield inputs and targets, on a device."""
    for batch in loader:
        parts = (batch,) if isinstance(batch, Tensor) else tuple(batch)
        moved = [check_tensor(name, part).to(device) for part in parts[:2]]
        yield moved[0], moved[1] if len(moved) > 1 else None


def n_rows(data: Any) -> int:
    """Return how many rows data have; 0 where a stream does not say."""
    rows = as_data_set(data)
    data_set: Any = rows.dataset if isinstance(rows, DataLoader) else rows
    try:
        return len(data_set)
    except TypeError:
        return 0
