"""How the numbers of an audit are spread, by method and class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyxai.audit import Audit
from pyxai.audit.statistics import quantiles_of

__all__ = ["GAPS", "Spread", "classes_of", "spreads_of"]

GAPS = ("gap", "relative_gap")  # whose sign says little: absolute values are shown
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Spread:
    """Quantiles of a column: of all examples of a method, or of those of a class.

    Attributes
    ----------
    count : int
        How many examples have a number.
    quantiles : tuple of float
        5, 25, 50, 75 and 95 %; empty without a number.
    """

    count: int
    quantiles: tuple[float, ...]


def classes_of(found: Audit, most: int) -> tuple[list[int], int]:
    """Return the explained outputs that most examples have, in order, and how many there are."""
    targets = found.shards.by_method("target")[:, 0]  # one for all methods
    known, counts = np.unique(targets[~np.isnan(targets)], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(known[order].astype(int).tolist()), len(known)


def spreads_of(found: Audit, classes: list[int]) -> dict[str, dict[int | None, dict[str, Spread]]]:
    """Return spreads by column, class (None for all examples) and method.

    Columns without a number are left out. The numbers of one method are in memory at a time.
    """
    spreads: dict[str, dict[int | None, dict[str, Spread]]] = {}
    for method in found.methods:
        arrays = found.arrays(method)
        for column in found.columns:
            values = np.abs(arrays[column]) if column in GAPS else arrays[column]
            for each in (None, *classes):
                mine = values if each is None else values[arrays["target"] == each]
                by_method = spreads.setdefault(column, {}).setdefault(each, {})
                by_method[method] = _spread(mine[~np.isnan(mine)])
    return {
        column: by_class
        for column, by_class in spreads.items()
        if any(spread.count for spread in by_class[None].values())
    }


def _spread(values: Any) -> Spread:
    if not len(values):
        return Spread(0, ())
    return Spread(len(values), tuple(map(float, quantiles_of(values, _LEVELS))))
