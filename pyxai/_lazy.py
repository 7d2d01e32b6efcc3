"""Imports that wait for their first use (PEP 562), and imports from rooms above.

A lazy package lists what it exports in a stub beside its ``__init__.py``, one line a name, which
type checkers read too: ``from pyxai.a.b import Name as Name``.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["above", "exports_of_stub", "rooms_of"]

GetAttr = Callable[[str], Any]
Dir = Callable[[], list[str]]


def above(room: str) -> Any:
    """Return a room of the package that stands above the caller's.

    Only for what a result does for convenience, such as to draw itself: the room below must load,
    and work, without the one above. A test holds the list of these calls.
    """
    return importlib.import_module(f"pyxai.{room}")


def exports_of_stub(package: str, file: str) -> tuple[GetAttr, Dir, list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose stub lists its names.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    file : str
        Its ``__file__``; the stub lies beside it.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    places = {
        alias.asname or alias.name: str(node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(places[name]), name)
        setattr(sys.modules[package], name, value)  # found at once the next time
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *places}), sorted(places)


def rooms_of(package: str, path: Sequence[str]) -> tuple[GetAttr, Dir, list[str]]:
    """Return ``__getattr__``, ``__dir__`` and the names of the public packages inside a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    path : sequence of str
        Its ``__path__``.
    """
    rooms = sorted(m.name for m in pkgutil.iter_modules(path) if m.ispkg and m.name[0] != "_")

    def load(name: str) -> Any:
        if name not in rooms:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return load, lambda: sorted({*vars(sys.modules[package]), *rooms}), rooms
