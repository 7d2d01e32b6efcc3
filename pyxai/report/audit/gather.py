"""All that the page of an audit is made of."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from pyxai.audit import Audit
from pyxai.report.audit.names import Data
from pyxai.report.audit.sample import Sample, sample_maps
from pyxai.report.audit.spread import GAPS, Spread, classes_of, spreads_of
from pyxai.report.audit.survey import Survey, survey

__all__ = ["Found", "gathered", "words"]

_CLASSES = 12  # that are shown by themselves


class Line(NamedTuple):
    """What a leaderboard says of a method and a column; None where it says nothing."""

    mean: float | None
    low: float | None
    high: float | None
    n_numbers: int
    failures: int
    rank: int | None
    best: bool


@dataclass(frozen=True)
class Found:
    """What was found out about an audit.

    Attributes
    ----------
    audit : Audit
        In its folder.
    data : Data
        The examples, where they can be read, and their names.
    answered : tuple of str
        The methods that have an answer to some example.
    classes : list of int
        The explained outputs that are shown by themselves.
    n_classes : int
        How many there are.
    spreads : dict
        By column, class (None for all examples) and method.
    board : dict of str to dict of str to Line
        The audit's leaderboard, by column and method.
    better : dict of str to str or None
        What is better in each column of the leaderboard.
    leading : str or None
        The first metric of which it is known what is better.
    survey : Survey
        What one pass through the rows found.
    sample : Sample or None
        What the maps say, where they were kept.
    """

    audit: Audit
    data: Data
    answered: tuple[str, ...]
    classes: list[int]
    n_classes: int
    spreads: dict[str, dict[int | None, dict[str, Spread]]]
    board: dict[str, dict[str, Line]]
    better: dict[str, str | None]
    leading: str | None
    survey: Survey
    sample: Sample | None

    @property
    def n_done(self) -> int:
        """How many shards are done."""
        return len(self.audit.shards.numbers())


def gathered(audit: Audit, data: Data) -> Found:
    """Read what the page needs.

    Raises
    ------
    ValueError
        If no shard is done, a file is not as it was written, or names are too few or too many.
    """
    errors = audit.shards.by_method("error")
    answered = tuple(
        method for method, failed in zip(audit.methods, errors.T, strict=True) if not failed.all()
    )
    classes, n_classes = classes_of(audit, _CLASSES)
    spreads = spreads_of(audit, classes)
    frame = audit.leaderboard()
    columns = list(dict.fromkeys(name for name, _ in frame.columns))
    better = {name: frame[name, "better"].iloc[0] for name in columns}
    board = {
        name: {method: _line(frame[name].loc[method]) for method in audit.methods}
        for name in columns
    }
    ranked = [name for name, way in better.items() if way in ("higher", "lower")]
    leading = next((name for name in ranked if name not in GAPS), None)
    whole = {column: by_class[None] for column, by_class in spreads.items()}
    found = survey(audit, whole, leading, 1 if better.get(leading or "") == "lower" else -1)
    kept = audit.plan["maps"] is not None and answered
    if kept:
        _check_features(audit, answered, len(data.feature_names))
    sample = sample_maps(audit, answered, classes) if kept else None
    return Found(
        audit, data, answered, classes, n_classes, spreads, board, better, leading, found, sample
    )


def _check_features(audit: Audit, answered: tuple[str, ...], n_names: int) -> None:
    """Raise if there are names, and none of the maps of inputs has so many features."""
    inputs = [method for method in answered if audit.about(method) != "layer"]
    if not inputs:
        return
    shapes = [audit.shards.map_shapes(method) for method in inputs]
    sizes = sorted({sum(map(prod, parts)) for parts in shapes})
    if n_names and n_names not in sizes:
        raise ValueError(
            f"feature_names must have a name for each of {' or '.join(map(str, sizes))} "
            f"feature(s), got {n_names}"
        )


def _line(cells: Any) -> Line:
    """Return a line of a leaderboard's column, without pandas' own signs for nothing."""

    def number(name: str) -> Any:
        value = cells[name]
        return None if importlib.import_module("pandas").isna(value) else value

    mean, low, high = (
        None if number(name) is None else float(number(name))
        for name in ("mean", "low_95", "high_95")
    )
    rank = number("rank")
    return Line(
        mean,
        low,
        high,
        int(cells["count"]),
        int(cells["failures"]),
        None if rank is None else int(rank),
        bool(number("best")),
    )


def words(name: str) -> str:
    """Return the name of a method or a column as it is read."""
    return name.replace("_", " ")
