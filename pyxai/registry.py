"""Which attribution methods there are, by name, and what each of them promises.

A method registers where it is defined, with `pyxai.methods.store.register`. The command line, the
contract tests and whoever lists the names see every room, also those that nobody has used yet.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from pyxai.methods.store import AXIOMS, Method, find, get, load_with, names, register, snake_case

__all__ = ["AXIOMS", "Method", "find", "get", "names", "of_layer", "register"]

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


def of_layer(name: str) -> type[Any] | None:
    """Return the class of a method of layers or neurons.

    They are not among `names`: what they attribute to is not the inputs, or not of an output, which
    is what an entry promises.

    Parameters
    ----------
    name : str
        Such as ``"layer_integrated_gradients"``.

    Returns
    -------
    type or None
        ``None`` if it is the name of no such method.
    """
    if not name.startswith(("layer_", "neuron_", "internal_")):
        return None
    room = importlib.import_module("pyxai.attribution")
    methods = (each for each in room.__all__ if not each.endswith("Attribution"))
    found = next((each for each in methods if snake_case(each) == name), None)
    return None if found is None else getattr(room, found)
