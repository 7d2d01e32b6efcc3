"""Everything that is public: modules, and the functions, classes and methods that they export."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pyxai

INNER_ROOMS = {"pyxai.attribution.visualization"}  # below a room, for users as captum's is


def public_modules() -> list[str]:
    names = ["pyxai", *(m.name for m in pkgutil.walk_packages(pyxai.__path__, "pyxai."))]
    return [name for name in names if not any(part[0] == "_" for part in name.split("."))]


def own_members(name: str) -> dict[str, object]:
    """Public functions and classes defined in a module itself."""
    module = importlib.import_module(name)
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
    }


def namespaces() -> list[str]:
    """What a user imports from: the package, what is right below it, and the inner rooms."""
    return [
        name
        for name in public_modules()
        if (name.count(".") < 2 and "__main__" not in name) or name in INNER_ROOMS
    ]


def documented_objects() -> list[tuple[str, object]]:
    """Every exported function and class, and the public methods of such a class."""
    found: dict[int, tuple[str, object]] = {}
    for module in namespaces():
        for name in importlib.import_module(module).__all__:
            value = getattr(importlib.import_module(module), name)
            if not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            found.setdefault(id(value), (f"{module}.{name}", value))
            for key, raw in vars(value).items() if inspect.isclass(value) else ():
                member = raw.__func__ if isinstance(raw, (classmethod, staticmethod)) else raw
                if inspect.isfunction(member) and not key.startswith("_"):
                    found.setdefault(id(member), (f"{module}.{name}.{key}", member))
    return list(found.values())
