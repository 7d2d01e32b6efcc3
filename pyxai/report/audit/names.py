"""The examples of an audit, where they can be read, and what features and classes are called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai.audit import Audit
from pyxai.audit.data import Like, Source, open_source
from pyxai.audit.identity import digest_of_data

__all__ = ["Data"]

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Data:
    """What is known of the examples.

    Attributes
    ----------
    source : Source or None
        Where they are read.
    feature_names, class_names : tuple of str
        Empty where there are none.
    seed : int
        Of the audit.
    noun : str
        What a feature without a name is called.
    """

    source: Source | None = None
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    seed: int = 0
    noun: str = "feature"

    @property
    def of_units(self) -> Data:
        """The same for maps of a layer, whose units have no names among those of the inputs."""
        return replace(self, feature_names=(), noun="unit")

    @classmethod
    def of(
        cls,
        audit: Audit,
        dataset: Any,
        label: str | None,
        feature_names: list[str] | None,
        class_names: list[str] | None,
    ) -> Data:
        """Open the data set of an audit.

        Raises
        ------
        ValueError
            If it is another one, or there are more outputs than names.
        """
        source = None if dataset is None else _opened(audit, dataset, label)
        features, classes = feature_names or [], class_names or []
        most = _largest_output(audit) + 1
        if classes and len(classes) < most:
            raise ValueError(
                f"class_names must have a name for each of {most} or more outputs, got "
                f"{len(classes)}"
            )
        if source is not None:
            features = features or _columns(dataset, source, label)
            classes = classes or _folders(dataset, source)
            # A model may know other classes than the folders are.
            classes = classes if len(classes) >= most else []
        seed = int(audit.plan["seed"])
        return cls(source, tuple(map(str, features)), tuple(map(str, classes)), seed)

    def inputs(self, number: int) -> tuple[Tensor, ...] | None:
        """Return the inputs of an example without a first dimension, None where it has none."""
        if self.source is None:
            return None
        batch = self.source.read(number, number + 1, self.seed)
        return tuple(part[0] for part in batch.inputs) if batch.ids else None

    def feature(self, number: int) -> str:
        """Return the name of a feature, by its number among all of an example."""
        named = number < len(self.feature_names)
        return self.feature_names[number] if named else f"{self.noun} {number}"

    def class_(self, number: float | None) -> str | None:
        """Return the name of an output or a label."""
        if number is None or number % 1:
            return None if number is None else f"{number:.6g}"
        named = 0 <= number < len(self.class_names)
        return self.class_names[int(number)] if named else str(int(number))


def _opened(audit: Audit, dataset: Any, label: str | None) -> Source:
    """Return the data set as the source that was audited, whatever dtype the model takes."""
    for dtype in _DTYPES:
        source = open_source(dataset, label, Like(dtype, torch.device("cpu")))
        if digest_of_data(source, int(audit.plan["seed"])) == audit.plan["dataset"]:
            return source
    raise ValueError(
        "dataset must be the one that was audited (with the same label column), got another of "
        f"{len(source)} example(s)"
    )


def _columns(dataset: Any, source: Source, label: str | None) -> list[str]:
    columns = getattr(source, "columns", None)
    if columns is None and source.kind == "table":
        columns = dataset.columns
    return [str(name) for name in (() if columns is None else columns) if name != label]


def _folders(dataset: Any, source: Source) -> list[str]:
    for owner in (dataset, getattr(source, "items", None)):
        classes = getattr(owner, "classes", None)
        if isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes):
            return list(classes)
    return []


def _largest_output(audit: Audit) -> int:
    """Return the largest number of an output that is explained or predicted, -1 without one."""
    columns = [audit.shards.by_method(name) for name in ("target", "prediction")]
    known = [column[~np.isnan(column)] for column in columns]
    return int(max((column.max() for column in known if len(column)), default=-1))
