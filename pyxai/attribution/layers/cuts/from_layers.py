"""What a model computes from the values of layers: the part behind the cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from pyxai.attribution.layers.cuts.grad_kwargs import depending
from pyxai.attribution.layers.cuts.layer_runs import run_with_layers
from pyxai.methods.layer import name_of_layer

__all__ = ["FromLayers", "FromLayersModule"]


class FromLayers:
    """A model as a function of what its layers give.

    Its arguments are the values of the layers, one tensor after the other, then those of the model.
    So whatever explains inputs explains layers: what is before them runs too, and its values are
    thrown away.

    Parameters
    ----------
    forward_func : callable
        The model.
    layers : sequence of nn.Module
    at_input : bool
        Whether the values are what the layers are given.
    counts : sequence of int
        How many tensors each layer gives.
    n_inputs : int
        How many of the further arguments are inputs: a model may write into them.
    zeros_if_unused : bool
        Whether the gradient is 0 where the model goes on without the values, and no error.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layers: Sequence[nn.Module],
        at_input: bool,
        counts: Sequence[int],
        n_inputs: int,
        zeros_if_unused: bool = False,
    ) -> None:
        self.forward_func = forward_func
        self.layers = tuple(layers)
        self.at_input = at_input
        self.counts = tuple(counts)
        self.n_inputs = n_inputs
        self.zeros_if_unused = zeros_if_unused

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self.forward_func, (FromLayers, *map(id, self.layers), self.at_input)

    def __call__(self, *args: Any) -> Any:
        """Run the model with these values in place of its layers'."""
        total = sum(self.counts)
        inputs = tuple(value.clone() for value in args[total : total + self.n_inputs])
        given = (*inputs, *args[total + self.n_inputs :])

        def replace(number: int, _: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            first = sum(self.counts[:number])
            return tuple(args[first : first + self.counts[number]])

        outputs, _ = run_with_layers(self.forward_func, self.layers, self.at_input, given, replace)
        return depending(outputs, args[0]) if self.zeros_if_unused else outputs


class FromLayersModule(nn.Module):
    """`FromLayers` as a module, for methods that trace one.

    Parameters
    ----------
    model : nn.Module
    layer : nn.Module
        One of its modules.
    at_input, n_values, n_inputs
        As of `FromLayers`, for the one layer.

    Raises
    ------
    ValueError
        If the layer is none of the model's.
    """

    def __init__(
        self, model: nn.Module, layer: nn.Module, at_input: bool, n_values: int, n_inputs: int
    ) -> None:
        super().__init__()
        self.name = name_of_layer(model, layer)
        self.at_input, self.n_values, self.n_inputs = at_input, n_values, n_inputs
        self.model = model
        self.training = model.training

    def forward(self, *args: Any) -> Any:
        """Run the model with values in place of its layer's."""
        layer = self.model.get_submodule(self.name)
        cut = FromLayers(self.model, (layer,), self.at_input, (self.n_values,), self.n_inputs)
        return cut(*args)
