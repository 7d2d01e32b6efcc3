"""The page of an explanation: what was asked, what leads, and pictures of the first rows."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

import pyxai
from pyxai._extras import optional
from pyxai.explanation import Explanation
from pyxai.explanation.balance import player_values
from pyxai.explanation.groups import adds_up, groups_of, is_unsigned, quantity
from pyxai.explanation.numbers import shortened
from pyxai.explanation.text import facts, group_label, top_features
from pyxai.report import Bar, Report, Section, Signed, format_number

__all__ = ["page"]

_LEADING = 10  # features
_PHONE = (3.7, 3.6)  # inches


def page(explanation: Explanation, shown: int = 12) -> Report:
    """Return a report of an explanation, with pictures of its first rows."""
    rows = len(explanation)
    method = explanation.method.replace("_", " ") or "an unnamed method"
    report = Report(
        f"Explanation by {method}",
        f"{rows:,} example{'s' if rows != 1 else ''}: what moved the output, and how far.",
        f"pyxai {pyxai.__version__}, torch {torch.__version__}. This file loads nothing from "
        "anywhere.",
    )
    told = [(name.replace("_", " "), _short(text)) for name, text in facts(explanation)]
    report.section("What was asked").table(("Argument", method), told)
    _leading(report, explanation)
    section = report.section("Example by example")
    parts = explanation.attributions
    drawn = isinstance(parts, torch.Tensor) and parts.dim() > 2
    if drawn:
        with optional("pictures need", "matplotlib", "viz"):
            importlib.import_module("matplotlib.pyplot")
    for row in range(min(shown, rows)):
        one = explanation[row]
        if not drawn:
            section.heading(f"Row {row}")
            _table(section, one)
            continue
        draw = partial(_drawn, one, f"row {row}")
        section.figure(draw, alt=f"Attributions of row {row}", narrow=partial(draw, size=_PHONE))
    if rows > shown:
        section.text(f"The first {shown:,} rows; {rows - shown:,} more are in the explanation.")
    return report


def _table(section: Section, one: Explanation) -> None:
    """Append the leading features of an example, with their values and the sum of the others."""
    groups, values = groups_of(one), player_values(one)[0]
    order = values.abs().nan_to_num(torch.inf).sort(descending=True, stable=True).indices
    leading = order[:_LEADING].tolist()
    size = max([abs(float(values[at])) for at in leading] or [1.0]) or 1.0
    known = _known(one, len(groups.of_features))
    rows: list[tuple[object, ...]] = []
    for at in leading:
        value, share = float(values[at]), float(values[at]) / size
        cell = Bar if is_unsigned(one) else Signed
        single = known is not None and int(groups.sizes[at]) == 1
        rows.append(
            (
                shortened(group_label(one, groups, at)),
                known[int(groups.first[at])] if known is not None and single else None,
                cell(format_number(value), share),
            )
        )
    others = order[_LEADING:]
    if len(others) and adds_up(one):
        rows.append((f"{len(others):,} more together", None, float(values[others].sum())))
    section.table(("Feature", "value", quantity(one)), rows)


def _known(one: Explanation, n_features: int) -> Sequence[object] | None:
    """Return a value for each feature of an example, where it is they that were attributed to."""
    if one.of_layer:
        return None
    if one.display_values is not None:
        shown: Sequence[object] = one.display_values[0]
        return shown if len(shown) == n_features else None
    parts = one.inputs if isinstance(one.inputs, tuple) else (one.inputs,)
    values = torch.cat([part.detach().double().cpu().flatten() for part in parts])
    return values.tolist() if len(values) == n_features else None


def _leading(report: Report, explanation: Explanation) -> None:
    """Append the features of largest attribution, by all examples."""
    best = top_features(explanation, _LEADING)
    if not best:
        return
    one, unsigned = len(explanation) == 1, is_unsigned(explanation)
    size = max(abs(value) for _, value in best) or 1.0
    kind = Signed if one and not unsigned else Bar
    cells = [(shortened(name), kind(format_number(value), value / size)) for name, value in best]
    what = "attribution" if one else f"mean |attribution| of {len(explanation):,} examples"
    report.section("What leads").table(("Feature", what), cells)


def _drawn(explanation: Explanation, title: str, size: tuple[float, float] | None = None) -> Any:
    """Return the figure of an example, of a size in inches or of the plot's own."""
    more: dict[str, Any] = {}
    if size is not None:
        pyplot = importlib.import_module("matplotlib.pyplot")
        more["ax"] = pyplot.subplots(figsize=size, layout="constrained")[1]
    return explanation.plot(title=title, **more).figure


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]} ..."
