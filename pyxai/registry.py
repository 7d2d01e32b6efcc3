"""Which attribution methods there are, by name, and what each of them promises.

A method registers where it is defined, with `pyxai.methods.store.register`. The command line, the
contract tests and whoever lists the names see every room, also those that nobody has used yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from pyxai.methods.store import ABOUT, AXIOMS, Method, find, get, load_with, names, register

__all__ = ["ABOUT", "AXIOMS", "Method", "find", "get", "names", "register"]

# What a person touches stands above the methods and holds none.
_ABOVE = frozenset({"adapters", "audit", "cli", "demo", "plot", "report"})


def _load(name: str | None) -> None:
    """Import the file or folder that has a method's name; without one, all that rooms export."""
    here = Path(__file__).parent
    rooms = [m.name for m in pkgutil.iter_modules([str(here)]) if m.ispkg and m.name not in _ABOVE]
    if name is None:
        for module in map(importlib.import_module, (f"pyxai.{room}" for room in rooms)):
            for exported in module.__all__:
                getattr(module, exported)
    elif name.isidentifier():
        for room in rooms:
            for path in sorted((here / room).rglob(f"{name}*")):
                if path.name in (name, f"{name}.py"):
                    place = path.relative_to(here).with_suffix("").parts
                    importlib.import_module(".".join(("pyxai", *place)))


load_with(_load)
