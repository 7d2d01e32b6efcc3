"""The part of a model behind a layer, for methods that trace modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pyxai.attribution.layers.cuts.cut import Cut, cut_at
from pyxai.attribution.layers.cuts.from_layers import FromLayersModule
from pyxai.methods.layer import name_of_layer

__all__ = ["TracedCuts", "beside"]


class TracedCuts:
    """Modules of what is behind a layer, kept: each is traced once.

    Parameters
    ----------
    model : nn.Module
    layer : nn.Module
        One of its modules.

    Raises
    ------
    ValueError
        If it is none of them.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        name_of_layer(model, layer)
        self.model, self.layer = model, layer
        self._known: dict[tuple[bool, int, int], FromLayersModule] = {}

    def at(self, inputs: Any, additional_forward_args: Any, at_input: bool) -> Cut:
        """Return the model cut at its layer, for some inputs."""
        return cut_at(self.model, (self.layer,), at_input, inputs, additional_forward_args)

    def rest(self, cut: Cut) -> FromLayersModule:
        """Return the module that is given the values of a cut, then what the model is given."""
        key = cut.at_input, len(cut.values), len(cut.inputs)
        if key not in self._known:
            self._known[key] = FromLayersModule(self.model, self.layer, *key)
        module = self._known[key]
        module.training = self.model.training
        return module


def beside(cut: Cut) -> tuple[Tensor, ...]:
    """Return inputs that are compared with their baselines beside the layer's values.

    What passes the layer by changes from baseline to input as well. Ids, which have no
    differences, stay as they are.
    """
    return cut.inputs if all(each.is_floating_point() for each in cut.inputs) else ()
