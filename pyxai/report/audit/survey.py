"""One pass through the rows of an audit: what failed, what is odd or typical, what is listed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pyxai.audit import Audit
from pyxai.report.audit.spread import GAPS, Spread

__all__ = ["Failure", "Survey", "survey"]

LISTED = 2000  # rows in the table of a page
_FAILED = 200  # of these, rows without an answer
_KINDS = 500  # reasons that are told apart
_SHOWN = 3  # examples of a kind


@dataclass
class Failure:
    """A reason why there is no answer."""

    count: int = 0
    methods: set[str] = field(default_factory=set)
    ids: list[int] = field(default_factory=list)
    """The first few."""


@dataclass
class Survey:
    """What one pass through the rows found.

    Attributes
    ----------
    n_rows : int
        How many rows there are, one for each example and method.
    listed : list of dict
        Rows for the table, in order: all, or those that fail first and an even sample.
    failures : dict of str to Failure
        By reason.
    incomplete : list of (float, int)
        The largest absolute gap of an example and its number, largest first.
    worst : list of (float, int)
        Mean of the leading metric over the methods and the number of the example, worst first.
    typical : list of (float, int)
        Mean distance from the medians and the number of the example, nearest first.
    """

    n_rows: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    incomplete: list[tuple[float, int]] = field(default_factory=list)
    worst: list[tuple[float, int]] = field(default_factory=list)
    typical: list[tuple[float, int]] = field(default_factory=list)


def survey(
    found: Audit, spreads: dict[str, dict[str, Spread]], leading: str | None, sign: int
) -> Survey:
    """Go through the rows once; memory holds one shard and what is kept.

    Parameters
    ----------
    found : Audit
        Its rows.
    spreads : dict
        Of all examples, by column and method.
    leading : str or None
        The metric whose worst examples are kept.
    sign : int
        1 where a larger value of it is worse, -1 where a smaller one is.
    """
    made, every = Survey(), _every(found)
    failed = 0
    for example in _examples(found):
        number = example[0]["id"]
        made.n_rows += len(example)
        bad = [row for row in example if row["error"] is not None]
        for row in bad:
            _note(made.failures, row)
        if number % every == 0:
            made.listed += example
        else:
            kept = bad[: _FAILED - failed]
            made.listed += kept
            failed += len(kept)
        _rank(made, example, spreads, leading, sign)
    return made


def _every(found: Audit) -> int:
    """Return n of: each nth example is listed."""
    rows = len(found) * len(found.methods)
    return 1 if rows <= LISTED else math.ceil(rows / (LISTED - _FAILED))


def _examples(found: Audit) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each example."""
    size = len(found.methods)
    for table in found.tables():
        for start in range(0, table.num_rows, size * 512):
            rows = table.slice(start, size * 512).to_pylist()
            yield from (rows[at : at + size] for at in range(0, len(rows), size))


def _note(failures: dict[str, Failure], row: dict[str, Any]) -> None:
    reason = row["error"]
    if reason not in failures and len(failures) >= _KINDS:
        reason = "other reasons"
    failure = failures.setdefault(reason, Failure())
    failure.count += 1
    failure.methods.add(row["method"])
    if row["id"] not in failure.ids and len(failure.ids) < 5:
        failure.ids.append(row["id"])


def _rank(
    made: Survey,
    example: list[dict[str, Any]],
    spreads: dict[str, dict[str, Spread]],
    leading: str | None,
    sign: int,
) -> None:
    """Keep an example that is among the worst or the most typical."""
    number = example[0]["id"]
    gaps = [abs(row["gap"]) for row in example if row["gap"] is not None]
    if gaps:
        _keep(made.incomplete, max(gaps), number, largest=True)
    if leading is not None:
        values = [row[leading] for row in example if row[leading] is not None]
        if len(values) == len(example):
            _keep(made.worst, sum(values) / len(values), number, largest=sign > 0)
    distances = list(_distances(example, spreads))
    if distances and None not in distances:
        mean = sum(each for each in distances if each is not None) / len(distances)
        _keep(made.typical, mean, number, largest=False)


def _distances(
    example: list[dict[str, Any]], spreads: dict[str, dict[str, Spread]]
) -> Iterator[float | None]:
    """Yield how far each number is from its median, in distances of the 5 and 95 % quantiles."""
    for column, by_method in spreads.items():
        for row in example:
            spread = by_method[row["method"]]
            if spread.count < 2 or spread.quantiles[-1] == spread.quantiles[0]:
                continue
            value = row[column]
            if value is None:
                yield None
                return
            value = abs(value) if column in GAPS else value
            yield abs(value - spread.quantiles[2]) / (spread.quantiles[-1] - spread.quantiles[0])


def _keep(best: list[tuple[float, int]], value: float, number: int, *, largest: bool) -> None:
    """Add to a short list in order; of equal values the first stays first."""
    if math.isnan(value):
        return
    best.append((value, number))
    best.sort(key=lambda each: (-each[0] if largest else each[0], each[1]))
    del best[_SHOWN:]
