"""What a model computes up to a layer: the part before the cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.attribution.layers.cuts.layer_runs import Values, run_with_layers
from pyxai.methods.layer import name_of_layer
from pyxai.runner import Runner
from pyxai.runner.target import EveryOutput

__all__ = ["UpToLayer", "UpToLayerModule", "layer_values"]


class UpToLayer:
    """A model as a function whose output is made of what a layer gives.

    Parameters
    ----------
    forward_func : callable
        The model; all of it runs.
    layer : nn.Module
    at_input : bool
        Whether it is what the layer is given.
    select : callable
        From the tensors of the layer to the output, [rows, ...].
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module,
        at_input: bool,
        select: Callable[[Values], Tensor],
    ) -> None:
        self.forward_func = forward_func
        self.layer = layer
        self.at_input = at_input
        self.select = select

    def __call__(self, *args: Any) -> Tensor:
        """Run the model and return what is selected of the layer."""
        _, [values] = run_with_layers(self.forward_func, (self.layer,), self.at_input, args)
        return self.select(values)


class UpToLayerModule(nn.Module):
    """`UpToLayer` as a module, for methods that look inside one.

    Raises
    ------
    ValueError
        If the layer is none of the model's.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: nn.Module,
        at_input: bool,
        select: Callable[[Values], Tensor],
    ) -> None:
        super().__init__()
        self.name = name_of_layer(model, layer)
        self.at_input, self.select = at_input, select
        self.model = model
        self.training = model.training

    def forward(self, *args: Any) -> Tensor:
        """Run the model and return what is selected of the layer."""
        layer = self.model.get_submodule(self.name)
        return UpToLayer(self.model, layer, self.at_input, self.select)(*args)


class _AllValues:
    """A model whose outputs are all values of some layers, side by side."""

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layers: Sequence[nn.Module],
        at_input: bool,
        floating: bool,
    ) -> None:
        self.forward_func = forward_func
        self.layers = tuple(layers)
        self.at_input = at_input
        self.floating = floating
        self.forms: list[list[tuple[torch.Size, torch.dtype]]] = []

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self.forward_func, (_AllValues, *map(id, self.layers), self.at_input)

    def __call__(self, *args: Any) -> Tensor:
        """Return the values of a row in one line, wide enough for each of their dtypes."""
        _, values = run_with_layers(
            self.forward_func, self.layers, self.at_input, args, floating=self.floating
        )
        self.forms = [[(each.shape[1:], each.dtype) for each in parts] for parts in values]
        n_rows = next((len(a) for a in args if isinstance(a, Tensor) and a.dim()), 1)
        for each in (each for parts in values for each in parts):
            if each.dim() == 0 or len(each) != n_rows:
                raise ValueError(
                    "layer must keep the examples in dimension 0, got shape "
                    f"{list(each.shape)} for {n_rows} example(s)"
                )
        flat = [each.reshape(n_rows, -1) for parts in values for each in parts]
        exact = any(not each.is_floating_point() for each in flat)  # ids may be large
        wide = torch.float64 if exact or any(each.dtype == torch.float64 for each in flat) else None
        return torch.cat([each.to(wide or torch.float32) for each in flat], 1)

    def split(self, found: Tensor) -> list[Values]:
        """Return lines of values [rows, n_values] as the tensors of each layer."""
        sizes = [size.numel() for parts in self.forms for size, _ in parts]
        pieces = iter(torch.split(found, sizes, 1))
        return [
            tuple(next(pieces).reshape(len(found), *size).to(dtype) for size, dtype in parts)
            for parts in self.forms
        ]


def layer_values(
    forward_func: Callable[..., Any],
    layers: Sequence[nn.Module],
    at_input: bool,
    inputs: tuple[Tensor, ...],
    arguments: tuple[Any, ...],
    *,
    max_rows: int | None = None,
    floating: bool = True,
) -> list[Values]:
    """Return what layers give, or with ``at_input`` take, for some inputs.

    Parameters
    ----------
    forward_func : callable
        The model; it must run each layer once.
    layers : sequence of nn.Module
    at_input : bool
    inputs : tuple of Tensor, shape [batch, *features] each
    arguments : tuple
        Further arguments of the model.
    max_rows : int, optional
        Upper bound of the rows in one pass.
    floating : bool
        Whether tensors of other dtypes are left out.

    Returns
    -------
    list of tuple of Tensor, shape [batch, ...] each
        In the dtype that the layer has.

    Raises
    ------
    ValueError
        If a layer is not run exactly once, does not keep the examples apart in dimension 0, or its
        values are not finite.
    TypeError
        If a layer gives no tensors.
    """
    model = _AllValues(forward_func, layers, at_input, floating)
    runner = Runner(
        model, target=EveryOutput(), additional_forward_args=arguments, max_rows=max_rows
    )
    batch = inputs[0].shape[0]
    found = runner.values(
        lambda examples, _: tuple(value[examples].clone() for value in inputs),
        batch,
        1,
        like=inputs,
    )
    return model.split(found.reshape(batch, -1))
