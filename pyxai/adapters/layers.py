"""Layers of the user's model, which methods meet within a module of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyxai.methods.layer import LayerAttribution, find_layer
from pyxai.methods.neuron import NeuronAttribution
from pyxai.registry import find

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

    What a layer has belongs to no unit; maps of a layer that lie over the input may be taken.
    """
    entry = find(method) if isinstance(method, (str, type)) else None
    if entry is not None:
        inside = entry.of != "inputs"
    else:
        kinds = (LayerAttribution, NeuronAttribution)
        inside = isinstance(method, type) and issubclass(method, kinds)
    if inside:
        name = method if isinstance(method, str) else method.__name__
        raise ValueError(
            f"method must attribute an output to units, got {name!r}, which attributes to a layer "
            "or explains a neuron; pyxai.explain takes it, with the model itself"
        )
