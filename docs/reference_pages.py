"""Pages of the API reference, one for each room, written from what the rooms export.

Nothing lists names by hand: a new method, metric or room is in the reference by being exported. A
name that several rooms export is described where users meet it first, and named in the others.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pyxai

# What a person starts, and a function whose name is also that of its module.
LEFT_OUT = {"pyxai.cli", "pyxai.demo", "pyxai.explain", "pyxai.propagation"}
# The rest is for authors of methods and ops.
FOR_USERS = (
    "pyxai",
    "pyxai.attribution",
    "pyxai.attribution.visualization",
    "pyxai.taylor",
    "pyxai.decomposition",
    "pyxai.transforms",
    "pyxai.lex",
    "pyxai.selection",
    "pyxai.graphs",
    "pyxai.imputers",
    "pyxai.masks",
    "pyxai.metrics",
    "pyxai.datasets",
    "pyxai.adapters",
    "pyxai.plot",
    "pyxai.audit",
    "pyxai.report",
    "pyxai.registry",
)


def rooms() -> list[str]:
    """Return what users import from, in the order of the reference."""
    found = {"pyxai", *(f"pyxai.{m.name}" for m in pkgutil.iter_modules(pyxai.__path__))}
    found |= {"pyxai.attribution.visualization"}  # which users of captum import
    public = {name for name in found if not name.startswith("pyxai._")} - LEFT_OUT
    return [each for each in FOR_USERS if each in public] + sorted(public - {*FOR_USERS})


def exported(room: str) -> dict[str, object]:
    """Return what a room exports, by name; of the package itself no rooms."""
    module = importlib.import_module(room)
    values = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    return {name: value for name, value in values.items() if not inspect.ismodule(value)}


def owners() -> dict[str, str]:
    """Return the full name under which each public name is described."""
    first: dict[int, str] = {}
    described = {}
    for room in rooms():
        for name, value in exported(room).items():
            alone = not (inspect.isclass(value) or inspect.isroutine(value))  # numbers may be equal
            full = f"{room}.{name}"
            described[full] = full if alone else first.setdefault(id(value), full)
    return described


def public_names() -> set[str]:
    """Return all names that the reference must hold."""
    return set(owners().values())


def linked_names() -> dict[str, str]:
    """Return full names by what pages call them: in full, or in short if that is no plain word."""
    names = sorted(public_names())
    short = [name.rpartition(".")[2] for name in names]
    alone = {
        each: full
        for each, full in zip(short, names, strict=True)
        if short.count(each) == 1 and ("_" in each or each[:1].isupper())
    }
    return {**alone, **{room: room for room in rooms()}, **{name: name for name in names}}


def directive(full: str, value: object) -> str:
    """Return what describes one object."""
    if inspect.isclass(value):
        return f".. autoclass:: {full}\n   :members:\n"
    if inspect.isroutine(value):
        return f".. autofunction:: {full}\n"
    shown = repr(value) if len(repr(value)) < 1000 else f"a {type(value).__name__}"
    name = full.rpartition(".")[2]
    return f".. py:data:: {name}\n\n   ``{shown}``\n"


def family(room: str, value: object) -> str:
    """Return the folder of a room that an object is defined in, or nothing."""
    parts = str(getattr(value, "__module__", "")).split(".")
    return parts[2] if ".".join(parts[:2]) == room and len(parts) > 3 else ""


def page(room: str, described: dict[str, str]) -> str:
    """Return the page of a room."""
    values = exported(room)
    own = [name for name in values if described[f"{room}.{name}"] == f"{room}.{name}"]
    elsewhere = sorted(described[f"{room}.{name}"] for name in set(values) - set(own))
    lines = [room, "=" * len(room), "", f".. automodule:: {room}", "   :no-members:", ""]
    if elsewhere:
        lines += ["Also here: " + ", ".join(f"`{each}`" for each in elsewhere) + ".", ""]
    for each in sorted({family(room, values[name]) for name in own}):
        if each:
            lines += [each, "-" * len(each), ""]
        members = [name for name in own if family(room, values[name]) == each]
        lines += [directive(f"{room}.{name}", values[name]) for name in members]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write the pages that are not there as they should be, and remove others."""
    described = owners()
    users = [room for room in rooms() if room in FOR_USERS]
    authors = [room for room in rooms() if room not in FOR_USERS]
    texts = {room: page(room, described) for room in rooms()}
    title = "Reference"
    lines = [title, "=" * len(title)]
    for caption, part in (("For users", users), ("For authors of methods and ops", authors)):
        lines += ["", ".. toctree::", "   :maxdepth: 1", f"   :caption: {caption}", ""]
        lines += [f"   {room}" for room in part]
    texts["index"] = "\n".join(lines) + "\n"
    folder.mkdir(exist_ok=True)
    for path in set(folder.glob("*.rst")) - {folder / f"{name}.rst" for name in texts}:
        path.unlink()
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
