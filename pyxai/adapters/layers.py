"""Layers of the user's model, which methods meet within a module of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyxai.methods.layer import find_layer

__all__ = ["with_own_layers"]


def with_own_layers(options: dict[str, Any], model: Callable[..., Any]) -> dict[str, Any]:
    """Return a method's options with the layers that the names in ``composite`` mean.

    A method that is given another module around the model knows these by longer names.

    Raises
    ------
    ValueError
        If the model has no layer of a name; the nearest are listed.
    """
    composite = options.get("composite")
    if not isinstance(composite, Mapping):
        return options
    layers = {
        find_layer(model, key, "composite") if isinstance(key, str) and key != "first" else key: one
        for key, one in composite.items()
    }
    return {**options, "composite": layers}
