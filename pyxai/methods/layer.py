"""The contract of a method that attributes to the values of a layer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_module, check_tensor, describe
from pyxai._inputs import format_baselines, format_inputs
from pyxai.methods.base import GradientAttribution, convergence_delta
from pyxai.runner import BlackBox, Runner, one_scope, takes_arrays
from pyxai.runner.state import find_modules

TensorOrTuple = Tensor | tuple[Tensor, ...]
_NAMED = 6  # layers, where none is near what was asked for

__all__ = ["LayerAttribution", "find_layer", "name_of_layer"]


class LayerAttribution(GradientAttribution):
    """A method that attributes to the values of a layer.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module, str, or list of these
        Where to attribute to: a module, or its name among the model's ``named_modules()``. Some
        methods take several.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    Raises
    ------
    TypeError
        If ``layer`` is neither, or a list for a method of one layer.
    ValueError
        If the model has no layer of that name; the nearest are listed.
    """

    _explains_inputs = False
    _takes_lists = False

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
    ) -> None:
        super().__init__(forward_func)
        if self._takes_lists and isinstance(layer, (list, tuple)):
            if not layer:
                raise ValueError("layer must hold at least one module, got an empty list")
            self.layer: Any = [find_layer(forward_func, each) for each in layer]
        else:
            self.layer = find_layer(forward_func, layer)
        self.device_ids = device_ids

    @property
    def layers(self) -> list[nn.Module]:
        """The layers, one or several."""
        return self.layer if isinstance(self.layer, list) else [self.layer]

    @takes_arrays
    @one_scope
    def compute_convergence_delta(
        self,
        attributions: Any,
        start_point: Any,
        end_point: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Say how far attributions to a layer are from summing to the difference of the outputs.

        ``delta = sum(attributions) - (f(end_point) - f(start_point))``

        Parameters
        ----------
        attributions : Tensor, or tuple or list of these, shape [batch, ...]
            To the layer, or to several, in output units.
        start_point : float, Tensor, tuple of those or None
            Baselines of the model; ``None`` is 0.
        end_point : Tensor or tuple of Tensor, shape [batch, *features]
            The inputs of the model.
        target, additional_forward_args
            As of ``attribute``.

        Returns
        -------
        Tensor, shape [batch]
            In output units.

        Raises
        ------
        ValueError
            If there is not a row for each example.
        TypeError
            If an argument is not a tensor.
        """
        inputs, _ = format_inputs(end_point)
        parts = tuple(_tensors_of(attributions))
        for part in parts:
            if check_tensor("attributions", part).shape[:1] != inputs[0].shape[:1]:
                raise ValueError(
                    f"attributions must have a row for each of {len(inputs[0])} examples, got "
                    f"shape {list(part.shape)}"
                )
        runner = Runner(
            self.forward_func, target=target, additional_forward_args=additional_forward_args
        )
        return convergence_delta(runner, parts, inputs, format_baselines(start_point, inputs))

    @staticmethod
    def interpolate(
        layer_attribution: Tensor,
        interpolate_dims: int | tuple[int, ...],
        interpolate_mode: str = "nearest",
    ) -> Tensor:
        """Bring the map of a layer to the size of an image, to look at.

        Parameters
        ----------
        layer_attribution : Tensor, shape [batch, channels, *sizes]
            One to three sizes.
        interpolate_dims : int or tuple of int
            Sizes wanted, usually ``inputs.shape[2:]``.
        interpolate_mode : str
            ``"nearest"``, ``"area"``, ``"linear"`` (1-d), ``"bilinear"`` or ``"bicubic"`` (2-d),
            ``"trilinear"`` (3-d).

        Returns
        -------
        Tensor, shape [batch, channels, *interpolate_dims]
        """
        check_tensor("layer_attribution", layer_attribution)
        return nn.functional.interpolate(layer_attribution, interpolate_dims, mode=interpolate_mode)


def find_layer(forward_func: Callable[..., Any], layer: Any, argument: str = "layer") -> nn.Module:
    """Return the layer of a model that is meant.

    Parameters
    ----------
    forward_func : callable
        The model.
    layer : nn.Module or str
        The layer, or one of its names.
    argument : str
        What the caller calls ``layer``.

    Raises
    ------
    TypeError
        If ``layer`` is neither a module nor a name, or the model has no layers.
    ValueError
        If the model has no layer of that name; the nearest names are listed.
    """
    if isinstance(forward_func, BlackBox):  # which runs no layer that is seen
        check_module("model", forward_func)
    if isinstance(forward_func, torch.jit.ScriptModule):
        raise TypeError(
            "model must be a module that Python runs for its layers to be seen, got TorchScript; "
            "give the module it was made of"
        )
    if isinstance(layer, nn.Module):
        return layer
    if not isinstance(layer, str):
        raise TypeError(f"{argument} must be a module or the name of one, got {describe(layer)}")
    known: list[str] = []
    module: nn.Module
    for root in find_modules(forward_func):
        for name, module in root.named_modules(remove_duplicate=False):
            if name == layer and name:
                return module
            known.append(name)
        break  # the others are parts of the first, which names them in full
    close = difflib.get_close_matches(layer, filter(None, known), n=3)
    some = ", ".join(map(repr, filter(None, known[: _NAMED + 1])))
    more = ", ..." if len(known) > _NAMED + 1 else ""
    hint = f"; it has {some}{more}" if some else ""
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else hint
    raise ValueError(
        f"{argument} must be a name among those of the model's named_modules(), got {layer!r}{hint}"
    )


def name_of_layer(model: nn.Module, layer: nn.Module, argument: str = "layer") -> str:
    """Return the name of a layer in a model; ``argument`` is what the caller calls it.

    Raises
    ------
    TypeError
        If ``model`` is no module.
    ValueError
        If the layer is none of its modules.
    """
    check_module("model", model)
    name: str
    for name, module in model.named_modules():
        if module is layer:
            return name
    raise ValueError(
        f"{argument} must be a module of the model, got {describe(layer)} that is none of "
        f"{type(model).__name__}"
    )


def _tensors_of(value: Any) -> Iterator[Any]:
    """Yield the tensors of attributions to a layer, or to a list of layers."""
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors_of(each)
    else:
        yield value
