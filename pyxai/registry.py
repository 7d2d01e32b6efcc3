"""Which attribution methods there are, by name, and what each of them promises.

A method registers where it is defined, with `pyxai.methods.store.register`. The command line, the
contract tests and whoever lists the names see every room, also those that nobody has used yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from pyxai.methods.store import AXIOMS, Method, find, get, load_with, names, register

__all__ = ["AXIOMS", "Method", "find", "get", "names", "register"]

# What a person touches stands above the methods and holds none.
_ABOVE = frozenset({"adapters", "audit", "cli", "demo", "plot", "report"})


def _load_rooms() -> None:
    """Import every room that can hold methods."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg and module.name not in _ABOVE:
            importlib.import_module(f"pyxai.{module.name}")


load_with(_load_rooms)
