"""Columns of a table as numbers, and back: categories as codes."""

from __future__ import annotations

import importlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._extras import optional
from pyxai.runner.arrays import tensor_of

__all__ = ["Categories", "Columns"]


@dataclass(frozen=True)
class Categories:
    """What a column of categories may hold: code k stands for the k-th value, the last for none.

    Attributes
    ----------
    values : tuple
        The categories, in their order.
    missing : Any
        What stands for none in the table.
    dtype : Any
        That of the column.
    """

    values: tuple[Hashable, ...]
    missing: Any
    dtype: Any

    @classmethod
    def of_column(cls, name: str, column: Any) -> Categories | None:
        """Return those of a column of a table; ``None`` if it holds numbers or flags.

        Raises
        ------
        TypeError
            If it holds something else, such as dates.
        """
        present = column[column.notna()]
        missing = next(iter(column[column.isna()]), None)
        known = getattr(column.dtype, "categories", None)
        if known is not None:
            return cls(tuple(known), missing, column.dtype)
        kind = getattr(column.dtype, "kind", "O")
        if kind in "biuf":
            return None
        listed = set(present) if kind in "OUT" else set()
        if listed and all(isinstance(each, str) for each in listed):
            return cls(tuple(sorted(listed)), missing, column.dtype)
        if listed and all(isinstance(each, (bool, int, float, np.number)) for each in listed):
            return None
        raise TypeError(
            f"{name} must hold numbers, words or categories, got column {column.name!r} of "
            f"{column.dtype}"
        )

    def encode(self, name: str, column: Any) -> Tensor:
        """Return the codes of a column, float64 [rows]."""
        codes = {value: code for code, value in enumerate(self.values)}
        found = []
        for value, is_missing in zip(column, column.isna(), strict=True):
            code = len(codes) if is_missing else codes.get(value)
            if code is None:
                raise ValueError(
                    f"{name} must hold in column {column.name!r} one of {list(self.values)}, "
                    f"got {value!r}"
                )
            found.append(code)
        return torch.tensor(found, dtype=torch.float64)

    def decode(self, name: str, label: Hashable, codes: Tensor) -> Any:
        """Return a column of the values that codes [rows] stand for."""
        bad = codes[(codes < 0) | (codes > len(self.values)) | (codes % 1 != 0)]
        if len(bad):
            raise ValueError(
                f"{name} must hold in column {label!r} a code 0 .. {len(self.values)}, of "
                f"{list(self.values)} or none, got {float(bad[0]):g}; give baselines as a row of "
                "a table, or imputer=pyxai.imputers.Marginal(model.encode(table))"
            )
        values = np.array([*self.values, self.missing], dtype=object)
        return _pandas().Series(values[codes.long().numpy()], dtype=self.dtype)


@dataclass(frozen=True)
class Columns:
    """Labels of the columns of a table, and the categories of those that are no numbers."""

    labels: tuple[Hashable, ...]
    categories: dict[Hashable, Categories]

    @classmethod
    def of_table(cls, name: str, table: Any) -> Columns:
        """Read them off a table.

        Raises
        ------
        TypeError
            If it is no table, or a column holds something that no tensor can.
        ValueError
            If two columns have one name.
        """
        _check_table(name, table)
        labels = tuple(table.columns)
        if len(set(labels)) < len(labels):
            raise ValueError(f"{name} must have columns of different names, got {list(labels)}")
        found = {label: Categories.of_column(name, table[label]) for label in labels}
        return cls(labels, {label: each for label, each in found.items() if each is not None})

    @property
    def names(self) -> list[str]:
        """The labels as texts."""
        return [str(label) for label in self.labels]

    def check_labels(self, name: str, labels: Sequence[Hashable]) -> None:
        """Raise ``ValueError`` unless labels are these, in this order."""
        if list(labels) != list(self.labels):
            raise ValueError(
                f"{name} must have the columns that the estimator was fitted on, in their order, "
                f"{list(self.labels)}, got {list(labels)}"
            )

    def encode(self, name: str, table: Any) -> Tensor:
        """Return a table as numbers, float64 [rows, n_columns]; see `SklearnModel.encode`."""
        _check_table(name, table)
        self.check_labels(name, list(table.columns))
        return torch.stack([self._encoded(name, table[label]) for label in self.labels], 1)

    def decode(self, name: str, rows: Tensor) -> Any:
        """Return numbers [rows, n_columns] as a table."""
        pandas = _pandas()
        if not self.categories:
            return pandas.DataFrame(rows.numpy(), columns=list(self.labels))
        columns = {}
        for at, label in enumerate(self.labels):
            known = self.categories.get(label)
            codes = rows[:, at]
            columns[label] = known.decode(name, label, codes) if known else codes.numpy()
        return pandas.DataFrame(columns)

    def _encoded(self, name: str, column: Any) -> Tensor:
        known = self.categories.get(column.name)
        if known is not None:
            return known.encode(name, column)
        if Categories.of_column(name, column) is not None:
            raise TypeError(
                f"{name} must hold numbers in column {column.name!r}, got {column.dtype}; give "
                "from_sklearn(..., table=rows) the rows that tell its categories"
            )
        return tensor_of(name, column.to_frame()).double()[:, 0]


def _check_table(name: str, table: Any) -> None:
    if not (hasattr(table, "columns") and hasattr(table, "iloc")):
        raise TypeError(f"{name} must be a table of pandas, got {describe(table)}")


def _pandas() -> Any:
    with optional("estimators that were fitted on tables need", "pandas>=2", "sklearn"):
        return importlib.import_module("pandas")
