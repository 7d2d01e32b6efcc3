"""Layers of the user's model, which methods meet within a module of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyxai.methods.layer import LayerAttribution, find_layer
from pyxai.methods.neuron import NeuronAttribution
from pyxai.registry import find, of_layer

__all__ = ["refuse_layers", "with_own_layers"]


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


def refuse_layers(method: Any) -> None:
    """Raise ValueError if a method, by name or class, attributes to a layer or explains a neuron.

    What a layer has belongs to no unit; those that bring it back to the input are in the registry.
    """
    found = of_layer(method) if isinstance(method, str) else method
    kinds = (LayerAttribution, NeuronAttribution)
    if isinstance(found, type) and issubclass(found, kinds) and find(found) is None:
        name = method if isinstance(method, str) else found.__name__
        raise ValueError(
            f"method must attribute an output to units, got {name!r}, which attributes to a layer "
            "or explains a neuron; pyxai.explain takes it, with the model itself"
        )
