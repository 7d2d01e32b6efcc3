"""The rows that an imputer learns from: of tensors, arrays, or the batches of a loader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, describe
from pyxai._inputs import format_background
from pyxai._random import quiet_batches
from pyxai.runner.arrays import is_array, tensor_of

__all__ = ["background_of", "batches_of", "rows_of"]


def background_of(background: Any) -> tuple[Tensor, ...]:
    """Return the rows of a background, ``[rows, *feat]`` each, see `format_background`.

    Parameters
    ----------
    background : Tensor, array, tuple or list of these, or iterable of batches
        A tuple or a list has one entry for each input. Any other iterable, such as a
        ``DataLoader``, gives batches, which may have labels; see `FittedImputer.fit`.

    Raises
    ------
    ValueError, TypeError
        As `format_background` says, or if there is no batch.
    """
    if isinstance(background, (tuple, list)):
        parts = tuple(tensor_of("background", part) for part in background)
        return format_background(parts)
    if (isinstance(background, Tensor) or is_array(background)) or _gives_no_batches(background):
        return format_background(tensor_of("background", background))
    return rows_of(background, name="background")


def rows_of(data: Any, *, missing: bool = False, name: str = "data") -> tuple[Tensor, ...]:
    """Return all rows of tensors, arrays or batches, ``[rows, *feat]`` each.

    Parameters
    ----------
    data : Tensor, array or tuple of these, or iterable of batches
        See `FittedImputer.fit`.
    missing : bool
        Whether NaN may stand for a value that is missing.
    name : str
        What the caller calls this argument.

    Raises
    ------
    ValueError, TypeError
        As `FittedImputer.fit` says.
    """
    columns = list(zip(*batches_of(data, name), strict=True))
    data = tuple(torch.cat(column) for column in columns)
    if not missing:
        return format_background(data, name=name)
    parts: tuple[Tensor, ...] = data
    for part in parts:
        check_real(name, part)
    format_background(tuple(part.nan_to_num(nan=0.0) for part in parts), name=name)
    for part in parts:
        check_finite(name, torch.where(part.isnan(), 0, part))
    return tuple(part.detach() for part in parts)


def batches_of(data: Any, name: str = "data") -> list[tuple[Tensor, ...]]:
    """Return the inputs of tensors or arrays, or of each of some batches; see `rows_of`."""
    if isinstance(data, Tensor) or is_array(data):
        return [(tensor_of(name, data),)]
    if isinstance(data, tuple):
        return [tuple(tensor_of(name, part) for part in data)]
    if _gives_no_batches(data):
        raise TypeError(f"{name} must be tensors or an iterable of batches, got {describe(data)}")
    batches = [_features_of(batch, name) for batch in quiet_batches(data, seed=0)]
    if not batches:
        raise ValueError(f"{name} must give at least one batch, got none")
    return batches


def _gives_no_batches(data: Any) -> bool:
    return not isinstance(data, Iterable) or isinstance(data, (str, dict))


def _features_of(batch: Any, name: str) -> tuple[Tensor, ...]:
    """Return the inputs of a batch, without labels."""
    if isinstance(batch, Tensor) or is_array(batch):
        return (tensor_of(name, batch),)
    if not isinstance(batch, (tuple, list)) or not batch:
        raise TypeError(f"{name} must give tensors, got {describe(batch)}")
    inputs = tuple(batch[:-1]) if len(batch) > 1 else (batch[0],)
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
        inputs = tuple(inputs[0])
    return tuple(tensor_of(name, value) for value in inputs)
