"""`pyxai demo`: small models, explained, as a page."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

__all__ = ["add"]


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    demo = verbs.add_parser("demo", help="train small models, explain them, write a report")
    demo.add_argument("--out", default="out/demo", help="folder (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    demo = importlib.import_module("pyxai.demo")
    path = demo.run(options.out, seed=options.seed, say=_say)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser")


def _say(line: str) -> None:
    """Show a step as it begins; what is printed at the end is the result."""
    print(line, file=sys.stderr, flush=True)
