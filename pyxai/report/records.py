"""A table of records that a reader sorts and narrows in the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pyxai._checks import check_choice
from pyxai.report import render

__all__ = ["Column", "records"]

KINDS = ("number", "text", "choice")


class Column(NamedTuple):
    """A column of records."""

    name: str
    kind: str
    """"number", "text", or "choice" of a few texts or numbers that rows can be narrowed to."""


def records(columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str) -> Markup:
    """Return a table whose heads sort it; without JavaScript a note stands in its place.

    Parameters
    ----------
    columns : sequence of Column
        Their names and kinds.
    rows : sequence of sequences
        Texts, numbers, and ``None`` where there is nothing; NaN is nothing too.
    note : str
        Where else the rows are.

    Returns
    -------
    Markup
        For `Section.html`.

    Raises
    ------
    ValueError
        If a row has not as many cells as there are columns, or a kind is unknown.
    """
    for column in columns:
        check_choice("kind", column.kind, KINDS)
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(
                f"rows must have {len(columns)} cells each, got {len(row)} in row {number}"
            )
    data = {
        "columns": [column._asdict() for column in columns],
        "rows": [[_plain(value) for value in row] for row in rows],
    }
    text = htmlsafe_json_dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return render.block("records", data=text, note=note)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: seven digits of a number, infinities as words."""
    if not isinstance(value, float) or math.isnan(value):
        return None if isinstance(value, float) else value
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.7g}")
