"""Values that stand beside the names of features, such as those before they were standardised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from pyxai._checks import describe

__all__ = ["as_display_values"]


def as_display_values(values: Any, rows: int, n_features: int) -> list[list[Any]]:
    """Return numbers and words as a list for each example.

    Parameters
    ----------
    values : array, table, Tensor or list, shape [batch, *features], or a tuple of these
        One for each input. What is no number is kept as its text.
    rows, n_features : int
        Examples, and features of one, those of all inputs together.

    Raises
    ------
    TypeError
        If it is nothing of the kind.
    ValueError
        If there is not one value for each feature of each example.
    """
    parts = values if isinstance(values, tuple) else (values,)
    tables = [_table(part) for part in parts]
    shapes = ", ".join(str(list(table.shape)) for table in tables)
    if any(len(table) != rows for table in tables):
        raise ValueError(
            f"display_values must have a row for each of {rows} example(s), got shape {shapes}"
        )
    flat = [table.reshape(rows, table[:1].size).tolist() for table in tables]
    found = [[_plain(each) for part in row for each in part] for row in zip(*flat, strict=True)]
    if found and len(found[0]) != n_features:
        raise ValueError(
            f"display_values must have one value for each of {n_features} features, "
            f"got shape {shapes}"
        )
    return found


def _table(values: Any) -> np.ndarray[Any, Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu().tolist()
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"display_values must be a table of values, got {describe(values)}")
    try:
        table = np.array(values, dtype=object)
    except ValueError:  # rows of several lengths
        table = np.empty(0)
    if table.ndim == 0:
        raise TypeError(f"display_values must be a table of values, got {describe(values)}")
    return table


def _plain(value: Any) -> Any:
    """Return a value as Python has it, and as a file can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
