"""The page of an explanation's first rows."""

from __future__ import annotations

import torch

import pyxai
from pyxai.explanation import Explanation
from pyxai.report import Report

__all__ = ["page"]


def page(explanation: Explanation, shown: int = 12) -> Report:
    """Return a report of the first rows of an explanation."""
    report = Report(
        f"Explanation by {explanation.method.replace('_', ' ')}",
        f"{len(explanation)} row(s)",
        f"pyxai {pyxai.__version__}, torch {torch.__version__}",
    )
    report.section("Summary").text(*str(explanation).splitlines())
    section = report.section("Rows")
    for row in range(min(shown, len(explanation))):
        section.figure(
            lambda row=row: explanation[row].plot(title=f"row {row}").figure,  # type: ignore[misc]
            alt=f"Attributions of row {row}",
        )
    if len(explanation) > shown:
        section.text(f"{len(explanation) - shown} more rows are in the file.")
    return report
