"""Which method is best on a model and a data set, and what the rows do not tell apart."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxai._checks import check_choice
from pyxai._extras import optional
from pyxai.audit.measures import BETTER
from pyxai.audit.statistics import interval_of_mean

if TYPE_CHECKING:
    from pyxai.audit.results import Audit

__all__ = ["columns_of", "leaderboard_of"]

# With the types of a DataFrame's columns, that have a place for nothing.
_STATISTICS = {
    "better": "object",
    **dict.fromkeys(("mean", "low_95", "high_95"), "float64"),
    **dict.fromkeys(("count", "failures"), "int64"),
    "rank": "Int64",
    "best": "boolean",
}


def leaderboard_of(
    found: Audit,
    metrics: str | Sequence[str] | None,
    by: str | None,
    better: Mapping[str, str] | None,
) -> Any:
    """Return the leaderboard of an audit; see `Audit.leaderboard`."""
    with optional("leaderboards need", "pandas>=2", "audit"):
        pandas = importlib.import_module("pandas")
    ways = _directions(found.plan["metrics"], metrics, better)
    if by is not None:
        check_choice("by", by, ("target",))
    failed = found.shards.by_method("error")
    groups: dict[Any, Any] = {None: np.ones(len(failed), bool)}
    if by is not None:
        targets = found.shards.by_method("target")[:, 0]
        groups = {int(each): targets == each for each in np.unique(targets[~np.isnan(targets)])}
    columns = columns_of(ways, found.shards.by_method, failed, groups)
    frame = pandas.DataFrame(columns)
    frame.columns = pandas.MultiIndex.from_tuples(columns, names=["column", "statistic"])
    for name, statistic in columns:
        frame[name, statistic] = frame[name, statistic].astype(_STATISTICS[statistic])
    lines = [(group, method) for group in groups for method in found.methods]
    if by is None:
        frame.index = pandas.Index(found.methods, name="method")
    else:
        frame.index = pandas.MultiIndex.from_tuples(lines, names=[by, "method"])
    return frame


def _directions(
    planned: list[dict[str, Any]],
    metrics: str | Sequence[str] | None,
    better: Mapping[str, str] | None,
) -> dict[str, str | None]:
    """Return the columns to compare methods by, and what is better in each."""
    own = {each["name"]: each["columns"] for each in planned}
    ways: dict[str, str | None] = {name: BETTER[name] for name in ("gap", "relative_gap")}
    known = {**ways, **{name: way for each in own.values() for name, way in each.items()}}
    asked = (*ways, *own) if metrics is None else metrics
    names: list[str] = []
    for name in (asked,) if isinstance(asked, str) else asked:
        check_choice("metrics", name, tuple(dict.fromkeys((*ways, *own, *known))))
        names += own.get(name, (name,))
    if not names:
        raise ValueError("metrics must name at least one column, got none")
    for name, way in (better or {}).items():
        check_choice("better", name, tuple(known))
        known[name] = check_choice(f"better of {name}", way, ("higher", "lower", "zero"))
    return {name: known[name] for name in names}


def columns_of(
    better: Mapping[str, str | None],
    values: Callable[[str], Any],
    failed: Any,
    groups: Mapping[Any, Any],
) -> dict[tuple[str, str], list[Any]]:
    """Return the columns of a leaderboard: by column and statistic, group by group.

    Parameters
    ----------
    better : mapping of str to str or None
        The columns to show, and what is better there.
    values : callable
        From a column to its numbers, float64 [n_examples, n_methods], NaN where there is none; one
        column is in memory at a time.
    failed : array, shape [n_examples, n_methods]
        bool: whether there is no answer.
    groups : mapping of any to array
        Which examples belong together: bool [n_examples].
    """
    columns: dict[tuple[str, str], list[Any]] = {}
    for name, way in better.items():
        numbers = values(name)
        numbers = np.abs(numbers) if way == "zero" else numbers
        found = [
            line for mine in groups.values() for line in _lines(numbers[mine], failed[mine], way)
        ]
        for statistic in _STATISTICS:
            columns[name, statistic] = [line[statistic] for line in found]
    return columns


def _lines(numbers: Any, failed: Any, way: str | None) -> list[dict[str, Any]]:
    """Return the statistics of each method for one column; ``numbers`` [examples, methods]."""
    lines: list[dict[str, Any]] = []
    for values, bad in zip(numbers.T, failed.T, strict=True):
        known = values[~np.isnan(values)]
        mean, low, high = interval_of_mean(known)
        counts = {"count": len(known), "failures": int(bad.sum())}
        places = {"better": way, "rank": None, "best": None}
        lines.append({"mean": mean, "low_95": low, "high_95": high, **counts, **places})
    ranked = [place for place, line in enumerate(lines) if line["mean"] is not None]
    if way is None or not ranked:
        return lines
    sign = -1 if way == "higher" else 1
    costs = [sign * lines[place]["mean"] for place in ranked]
    first = ranked[int(np.argmin(costs))]
    for place, cost in zip(ranked, costs, strict=True):
        lines[place]["rank"] = 1 + sum(other < cost for other in costs)
        with np.errstate(invalid="ignore"):
            excess = sign * (numbers[:, place] - numbers[:, first])
        lines[place]["best"] = not _is_worse(excess)
    return lines


def _is_worse(excess: Any) -> bool:
    """Tell whether a mean of differences, NaN where one has no number, is surely above 0."""
    known = excess[~np.isnan(excess)]  # also where both are infinite
    mean, low, _ = interval_of_mean(known)
    return mean == np.inf or (low is not None and low > 0)
