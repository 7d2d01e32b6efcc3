"""`pyxai report`: a page of an audit, or of a saved explanation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyxai import report as pages
from pyxai._files import check_target
from pyxai.cli.audit import read_data
from pyxai.cli.page import page
from pyxai.explanation import Explanation

__all__ = ["add"]

_EPILOG = """\
examples:
  pyxai explain model.pt2 inputs.npy --save why.safetensors
  pyxai report why.safetensors --out why.html
  pyxai audit model.pt2 inputs.npy --out audit --metric insertion --method deep_lift
  pyxai report audit --dataset inputs.npy
"""
_OF_AUDITS = ("dataset", "label", "feature_names", "class_names")


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    report = verbs.add_parser(
        "report",
        help="make a page of an audit, or of a saved explanation",
        description="Write one HTML file that loads nothing from anywhere.",
        epilog=_EPILOG,
    )
    report.add_argument(
        "what",
        type=Path,
        help="folder that `pyxai audit` wrote, or file that `pyxai explain --save` wrote",
    )
    report.add_argument(
        "--out",
        type=Path,
        help="(default: report.html in the folder of an audit, or here)",
    )
    of_audits = report.add_argument_group("of audits")
    of_audits.add_argument(
        "--dataset",
        type=Path,
        help="the data that were audited: for pictures of the examples, and for names",
    )
    of_audits.add_argument(
        "--label", metavar="COLUMN", help="column with the label, as in the audit"
    )
    of_audits.add_argument(
        "--feature-names", metavar="A,B,...", help="(default: those of the data)"
    )
    of_audits.add_argument("--class-names", metavar="A,B,...", help="(default: those of the data)")
    of_audits.add_argument(
        "--trust", action="store_true", help="unpickle files, which runs code that is in them"
    )
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    folder = options.what.is_dir()
    if not options.what.exists():
        raise FileNotFoundError(
            "what must be the folder of an audit or the file of an explanation, got "
            f"{str(options.what)!r}: nothing is there"
        )
    if not folder:
        for name in _OF_AUDITS:
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be left out of a page of an explanation, got it")
    out = options.out or (options.what if folder else Path()) / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    check_target(out, "--out")  # before the work
    made = _of_audit(options) if folder else page(Explanation.load(options.what))
    print(f"wrote {made.write(out)}")


def _of_audit(options: argparse.Namespace) -> pages.Report:
    return pages.of_audit(
        options.what,
        None if options.dataset is None else read_data(options.dataset, options.trust),
        label=options.label,
        feature_names=_names(options.feature_names),
        class_names=_names(options.class_names),
    )


def _names(text: str | None) -> list[str] | None:
    return None if text is None else text.split(",")
