"""A model by the place of the Python code that makes it."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

__all__ = ["imported"]


def imported(place: str) -> Any:
    """Return the model that ``"module:function"`` makes, or is.

    Raises
    ------
    ValueError
        If ``place`` is no such text.
    ImportError, AttributeError
        If there is no such module, or nothing of that name in it.
    """
    module, found, name = place.partition(":")
    if not (module and found and name):
        raise ValueError(f"model must be a callable or 'module:function', got {place!r}")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value if isinstance(value, nn.Module) else value()
