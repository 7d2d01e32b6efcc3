"""Numbers of a whole audit, in the order of its examples: no matter who made which shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai.audit.storage import pyarrow

__all__ = ["ClassMaps", "add_maps", "interval_of_mean", "quantiles_of", "statistics_of"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NORMAL_95 = 1.959963984540054


@dataclass
class ClassMaps:
    """Mean and spread of the attributions of a class.

    Attributes
    ----------
    count : int
        How many examples.
    mean : Tensor, shape [*features]
        float64, in units of the maps.
    squares : Tensor, shape [*features]
        Sum of the squared distances from the mean.
    """

    count: int
    mean: Tensor
    squares: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviation over the examples, NaN of a single one."""
        return (self.squares / (self.count - 1)).sqrt() if self.count > 1 else self.mean * torch.nan


def add_maps(
    found: dict[int | None, ClassMaps], targets: list[Any], good: list[bool], maps: Tensor
) -> None:
    """Add the maps of a shard to the means of their classes, by the pairwise update of Chan et al.

    References
    ----------
    .. [1] T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance", The
       American Statistician 37, 1983, eq. 2.1.
    """
    kept = torch.tensor(good)
    for target in sorted(set(targets), key=lambda each: -1 if each is None else each):
        mine = torch.tensor([each == target for each in targets]) & kept
        if not bool(mine.any()):
            continue
        values = maps[mine].double()
        mean = values.mean(0)
        new = ClassMaps(len(values), mean, (values - mean).square().sum(0))
        old = found.get(target)
        if old is not None:
            total, change = old.count + new.count, new.mean - old.mean
            new = ClassMaps(
                total,
                old.mean + change * (new.count / total),
                old.squares + new.squares + change.square() * (old.count * new.count / total),
            )
        found[target] = new


def statistics_of(
    methods: tuple[str, ...],
    columns: tuple[str, ...],
    arrays: Callable[[str], dict[str, Any]],
) -> Any:
    """Return a pyarrow table of statistics by method, class and column.

    ``arrays(method)`` gives columns, targets and failures in the order of examples; those of one
    method are in memory at a time.
    """
    rows: list[dict[str, Any]] = []
    for method in methods:
        found = arrays(method)
        targets = found["target"]
        for name in columns:
            for each in (None, *np.unique(targets[targets >= 0]).tolist()):
                mine = slice(None) if each is None else targets == each
                values = found[name][mine]
                rows.append(
                    {
                        "method": method,
                        "class": each,
                        "column": name,
                        "errors": int(found["failed"][mine].sum()),
                        **_numbers(values[~np.isnan(values)]),
                    }
                )
    arrow = pyarrow()
    kinds = {"method": arrow.string(), "column": arrow.string()}
    counts = dict.fromkeys(("class", "errors", "count"), arrow.int64())
    names = ("method", "class", "column", "errors", "count", *_numbers(np.zeros(0)))
    known = {**kinds, **counts}
    schema = [(name, known.get(name, arrow.float64())) for name in dict.fromkeys(names)]
    return arrow.Table.from_pylist(rows, schema=arrow.schema(schema))


def interval_of_mean(values: Any) -> tuple[float | None, float | None, float | None]:
    """Return the mean of values, and bounds that hold it in 95 of 100 such sets of values.

    By the normal approximation; None where there are too few, or one is infinite.
    """
    if not len(values):
        return None, None, None
    with np.errstate(invalid="ignore"):
        mean = float(values.mean())
    if np.isnan(mean):  # of both infinities
        return None, None, None
    if len(values) == 1 or not np.isfinite(mean):  # of an infinite number there is no spread
        return mean, None, None
    half = _NORMAL_95 * float(values.std(ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


def quantiles_of(values: Any, levels: tuple[float, ...]) -> Any:
    """Return quantiles of values, NaN between two infinities."""
    with np.errstate(invalid="ignore"):
        return np.quantile(values, levels)


def _numbers(values: Any) -> dict[str, Any]:
    """Return statistics of values; None where there are too few."""
    some = len(values) > 0
    mean, *bounds = interval_of_mean(values)
    spread = len(values) > 1 and bool(np.isfinite(values).all())
    std = float(values.std(ddof=1)) if spread else None
    error = None if std is None else std / len(values) ** 0.5
    quantiles = quantiles_of(values, _QUANTILES) if some else [None] * len(_QUANTILES)
    return {
        "count": len(values),
        "mean": mean,
        "standard_error": error,
        "low_95": bounds[0],
        "high_95": bounds[1],
        "std": std,
        "min": float(values.min()) if some else None,
        **{
            f"q{round(100 * level):02}": None if value is None else float(value)
            for level, value in zip(_QUANTILES, quantiles, strict=True)
        },
        "max": float(values.max()) if some else None,
    }
