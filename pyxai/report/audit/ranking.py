"""Which method is best on a model and a data set, and how its numbers are spread."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from pyxai import metrics, taylor
from pyxai.report.audit.facts import BETTER
from pyxai.report.audit.gather import Found, Line, words
from pyxai.report.audit.spread import GAPS, Spread
from pyxai.report.cells import Bar
from pyxai.report.document import Report, Section
from pyxai.report.numbers import format_number, format_seconds
from pyxai.report.strips import Axis, Strip, axis_of, multiples, strips

__all__ = ["leaderboard", "spread"]

_FEW = 30  # examples below which the normal law makes intervals too short
_WIDE = 300.0  # ratio of the ends from which on a scale is logarithmic


def leaderboard(report: Report, found: Found) -> None:
    """Compare the methods."""
    section = report.section(
        "Which method is best here",
        "Means over the examples, with the interval that holds the mean of 95 in 100 such data "
        "sets.",
    )
    ranked = [
        name for name, lines in found.board.items() if any(line.rank for line in lines.values())
    ]
    first = found.board[next(iter(found.board))]
    spent = _seconds(found)
    slowest = max(spent.values()) or 1.0
    section.table(
        ("Method", *(f"{words(name)}, rank" for name in ranked), "time an example", "no answer"),
        [
            (
                words(method),
                *(found.board[name][method].rank for name in ranked),
                Bar(format_seconds(spent[method]), spent[method] / slowest),
                first[method].failures,
            )
            for method in found.audit.methods
        ],
        caption="Ranks from 1, the best. Below, a dot marks the methods that the examples do not "
        "tell apart from the best. Times are those of the run, with what it measured.",
    )
    numbers = [line.n_numbers for lines in found.board.values() for line in lines.values()]
    if any(0 < number < _FEW for number in numbers):
        section.text(
            f"Where fewer than {_FEW} examples have a number, as here, these intervals, which are "
            "normal approximations, are too short."
        )
    for name, lines in found.board.items():
        if not any(line.n_numbers for line in lines.values()):
            continue
        section.heading(words(name)).text(" ".join(_described(found, name)))
        _intervals(section, name, lines)


def _intervals(section: Section, name: str, lines: dict[str, Line]) -> None:
    """Append the means of the methods, best first."""
    known = {method: line for method, line in lines.items() if line.mean is not None}
    ends = [end for line in known.values() for end in (line.mean, line.low, line.high)]
    axis = _axis([end for end in ends if end is not None], name)
    rows = []
    for method, line in sorted(known.items(), key=lambda each: each[1].rank or 0):
        assert line.mean is not None  # those are left out
        text, ends_of_line = format_number(line.mean), None
        if line.low is not None and line.high is not None:
            text += f" ({format_number(line.low)} to {format_number(line.high)})"
            ends_of_line = (line.low, line.high)
        star = "  \u25cf" if line.best else ""
        rows.append(Strip(words(method) + star, text, ends_of_line, None, line.mean))
    section.html(strips(rows, axis))


def spread(report: Report, found: Found) -> None:
    """Show where the numbers of each method lie."""
    section = report.section(
        "How the numbers are spread",
        "Line: from 5 to 95 % of the examples. Box: the middle half. Mark: the median.",
    )
    for name, by_class in found.spreads.items():
        section.heading(words(name))
        if name not in found.board:  # else it is described there
            section.text(" ".join(_described(found, name)))
        axis = _axis(_ends(by_class.values()), name)
        if name == "output":  # of the model: the same for all methods that have an answer
            whole = max(by_class[None].values(), key=lambda spread: spread.count)
            section.html(strips(_rows({"all methods": whole}, "median "), axis))
        else:
            section.html(strips(_rows(by_class[None], "median "), axis))
            _by_class(section, found, name, axis)


def _by_class(section: Section, found: Found, name: str, axis: Axis) -> None:
    """Append the spreads of the outputs of most examples, folded."""
    parts = []
    for each in found.classes:
        spreads = found.spreads[name][each]
        count = max(spread.count for spread in spreads.values())
        if count:
            title = f"{found.data.class_(each)}, {count:,} examples"
            parts.append((title, strips(_rows(spreads, ""), axis, compact=True)))
    if len(parts) < 2:
        return
    lead = f"The scale is that above. Beside each line is its median {words(name)}."
    if found.n_classes > len(found.classes):
        lead += f" The {len(found.classes)} outputs of most examples, of {found.n_classes:,}."
    section.fold(f"{words(name)} by explained output", lead).html(multiples(parts))


def _rows(by_method: dict[str, Spread], before: str) -> list[Strip]:
    rows = []
    for method, spread in by_method.items():
        if spread.count:
            low, left, middle, right, high = spread.quantiles
            text = before + format_number(middle)
            rows.append(Strip(words(method), text, (low, high), (left, right), middle))
    return rows


def _ends(parts: Iterable[dict[str, Spread]]) -> list[float]:
    return [
        spread.quantiles[at]
        for by_method in parts
        for spread in by_method.values()
        if spread.count
        for at in (0, 2, -1)
    ]


def _axis(values: list[float], name: str) -> Axis:
    """Return the scale of values; logarithmic where all are positive and far from each other."""
    positive = [value for value in values if value > 0]
    wide = bool(positive) and max(positive) > _WIDE * min(positive)
    log = wide and (name in GAPS or len(positive) == len(values))
    return axis_of(values, log=log)


def _described(found: Found, name: str) -> list[str]:
    """Say what a column is, in which unit, and what is better."""
    plan = next((m for m in found.audit.plan["metrics"] if name in m["columns"]), None)
    text = {
        "gap": "How far the attributions are from adding up, without sign, in output units; "
        "methods that have no such measure are not here.",
        "relative_gap": "The gap as a share of the change of the output.",
        "output": "The explained output, in its own units.",
    }.get(name)
    if text is None and plan is not None and isinstance(plan["is"], str):
        measure = getattr(metrics, plan["is"], getattr(taylor, plan["is"], None))
        text = (inspect.getdoc(measure) or "").partition("\n")[0]
        text = text.removeprefix("Return ")
        text = text[:1].upper() + text[1:]
    way = found.better.get(name)
    said = [] if way is None else [f"Better is {BETTER[way]}."]
    return [text, *said] if text else said


def _seconds(found: Found) -> dict[str, float]:
    """Return the mean seconds of an example, by method."""
    spent, count = dict.fromkeys(found.audit.methods, 0.0), 0
    size = int(found.audit.plan["batch_size"])
    for shard in found.audit.shards.numbers():
        mark = found.audit.folder.read_mark(shard)
        first, last = mark["rows"]
        count += last - first
        for method, by_batch in mark["seconds"].items():
            sizes = (min(size, last - first - at * size) for at in range(len(by_batch)))
            spent[method] += sum(s * n for s, n in zip(by_batch, sizes, strict=True))
    return {method: total / count for method, total in spent.items()}
