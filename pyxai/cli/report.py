"""`pyxai report`: a page of a saved explanation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyxai._files import check_target
from pyxai.cli.page import page
from pyxai.explanation import Explanation

__all__ = ["add"]


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    report = verbs.add_parser("report", help="make a page of a saved explanation")
    report.add_argument("explanation", type=Path, help="file written by `explain --save`")
    report.add_argument("--out", type=Path, default=Path("report.html"))
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    check_target(options.out, "--out")  # before the work
    print(f"wrote {page(Explanation.load(options.explanation)).write(options.out)}")
