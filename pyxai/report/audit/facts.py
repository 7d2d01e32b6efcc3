"""What was asked in an audit, how far it is, and what has no answer."""

from __future__ import annotations

import json
from typing import Any

import pyxai
from pyxai.report import render
from pyxai.report.audit.gather import Found, words
from pyxai.report.document import Report
from pyxai.report.numbers import format_number

__all__ = ["asked", "colophon", "failures", "lead", "summary", "title"]

_LONG = 300  # characters of an argument
_REASONS = 12


def title(found: Found) -> str:
    """Return the heading of the page."""
    count = len(found.audit)
    return f"Audit of {count:,} example{'s' if count != 1 else ''}"


def lead(found: Found) -> str:
    """Return what the page is about."""
    audit = found.audit
    methods = listed([words(name) for name in audit.methods])
    metrics = listed([words(name) for name in audit.metrics])
    measured = f", measured by {metrics}" if audit.metrics else ""
    return f"One model, each example explained by {methods}{measured}."


def colophon(found: Found) -> str:
    """Return the small print."""
    versions = ", ".join(f"{name} {text}" for name, text in found.audit.plan["versions"].items())
    return (
        f"Audited with {versions}; seed {found.audit.plan['seed']}. Page by pyxai "
        f"{pyxai.__version__}. This file loads nothing from anywhere."
    )


def summary(report: Report, found: Found) -> None:
    """Say what came out, and what is missing."""
    section = report.section("In short")
    if found.n_done < found.audit.n_shards:
        section.html(
            render.block(
                "warning",
                text=f"This audit is not complete: {found.n_done} of {found.audit.n_shards} "
                "shards are done, and all numbers here are of these. The same call of audit goes "
                "on where it stopped.",
            )
        )
    n_failed = sum(failure.count for failure in found.survey.failures.values())
    section.text(
        f"{found.survey.n_rows:,} explanations, {n_failed:,} of them without an answer."
        if n_failed
        else f"{found.survey.n_rows:,} explanations, each with an answer."
    )
    rows = []
    for column, way in found.better.items():
        lines = found.board[column]
        first = [words(method) for method, line in lines.items() if line.rank == 1]
        if way is None or not first:
            continue
        even = [words(m) for m, line in lines.items() if line.best and line.rank != 1]
        rows.append((words(column), BETTER[way], ", ".join(first), ", ".join(even) or None))
    if rows:
        section.table(
            ("By", "better is", "first", "not told apart from it"),
            rows,
            caption="Methods are not told apart where the differences on the same examples have a "
            "mean whose 95 % interval is not beyond 0. Ranks are of this model and these examples.",
        )


BETTER = {"higher": "higher", "lower": "lower", "zero": "nearer to 0"}


def asked(report: Report, found: Found) -> None:
    """Say what was run."""
    plan = found.audit.plan
    section = report.section("What was run")
    maps, given = plan["maps"], plan["baselines"]
    baselines = "the methods' own" if given is None else _short(given)
    kept = "none" if maps is None else ", ".join(f"{k} {v}" for k, v in maps.items() if v)
    section.table(
        ("What", "of this run"),
        [
            *(("method", _call(each)) for each in plan["methods"]),
            *(("metric", _call(each)) for each in plan["metrics"]),
            ("examples", f"{len(found.audit):,}"),
            ("explained output", _short(plan["target"])),
            ("baselines", baselines),
            ("maps kept", kept),
            ("seed", str(plan["seed"])),
            ("shards done", f"{found.n_done:,} of {found.audit.n_shards:,}"),
            ("hash of the model", plan["model"]),
            ("hash of the data set", plan["dataset"]),
            *((f"version of {name}", text) for name, text in plan["versions"].items()),
            ("folder", str(found.audit.folder.path)),
        ],
    )


def failures(report: Report, found: Found) -> None:
    """List the reasons why there is no answer."""
    known = sorted(found.survey.failures.items(), key=lambda each: (-each[1].count, each[0]))
    if not known:
        return
    section = report.section("Without an answer", "Examples that could not be explained, and why.")
    rows = []
    for reason, failure in known[:_REASONS]:
        every = len(failure.methods) == len(found.audit.methods)
        methods = "all" if every else ", ".join(words(name) for name in sorted(failure.methods))
        rows.append((reason, failure.count, methods, ", ".join(map(str, failure.ids))))
    rarer = len(known) - _REASONS
    section.table(
        ("Reason", "explanations", "methods", "examples"),
        rows,
        caption="The first few examples of each reason."
        + (f" {rarer} rarer reasons are in the rows." if rarer > 0 else ""),
    )


def listed(items: list[str]) -> str:
    """Join words as a sentence does."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _call(each: dict[str, Any]) -> str:
    """Write a method or a metric with its options."""
    what = _short(each["is"])
    named = each["name"] if what == each["name"] else f"{each['name']}: {what}"
    options = ", ".join(f"{name} = {_short(value)}" for name, value in each["options"].items())
    return f"{named} ({options})" if options else named


def _short(value: Any) -> str:
    if isinstance(value, float):
        return format_number(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
