"""`pyxai methods`: which methods there are and what they promise."""

from __future__ import annotations

import argparse
from typing import Any

from pyxai import registry

__all__ = ["add"]


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    methods = verbs.add_parser("methods", help="list the methods and what they promise")
    methods.set_defaults(run=_methods)


def _methods(_: argparse.Namespace) -> None:
    for name in registry.names():
        method = registry.get(name)
        promises = ", ".join(method.axioms).replace("_", " ") or "no axiom"
        print(f"{name:28} {promises}")
