"""The rows of an audit as a table to sort and to narrow."""

from __future__ import annotations

from typing import Any

from pyxai.report.audit.gather import Found, words
from pyxai.report.document import Report
from pyxai.report.records import Column, records

__all__ = ["section"]


def section(report: Report, found: Found) -> None:
    """List rows, all or some, and say which."""
    listed, total = found.survey.listed, found.survey.n_rows
    part = report.section(
        "The rows", "One for each example and method: sort by a head, narrow by a choice."
    )
    where = (
        f'pyxai.audit.load("{found.audit.folder.path}").rows() has all of them, from '
        f"{found.audit.folder.path / 'shards'}."
    )
    if len(listed) == total:
        part.text(f"All {total:,} rows. {where}")
    else:
        part.text(
            f"{len(listed):,} of {total:,} rows: examples spread evenly over the data set, and "
            f"the first of the other rows without an answer. {total - len(listed):,} are left out "
            f"here. {where}"
        )
    named = bool(found.data.class_names)
    columns = [
        Column("id", "number"),
        Column("method", "choice"),
        Column("label", "choice" if named else "number"),
        Column("target", "choice"),
        Column("prediction", "choice" if named else "number"),
        Column("right", "choice"),
        *(Column(name, "number") for name in found.spreads),
        Column("error", "text"),
    ]
    rows = [[_cell(found, row, column.name) for column in columns] for row in listed]
    kept = [at for at in range(len(columns)) if any(row[at] is not None for row in rows)]
    heads = [columns[at]._replace(name=words(columns[at].name)) for at in kept]
    part.html(records(heads, [[row[at] for at in kept] for row in rows], where))


def _cell(found: Found, row: dict[str, Any], name: str) -> Any:
    if name == "right":
        if row["label"] is None or row["prediction"] is None:
            return None
        return "yes" if row["label"] == row["prediction"] else "no"
    if name == "method":
        return words(row["method"])
    if name in ("label", "target", "prediction") and (found.data.class_names or name == "target"):
        return found.data.class_(row[name])
    return row[name]
