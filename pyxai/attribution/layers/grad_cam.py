"""Grad-CAM: feature maps of a layer, weighted by their mean gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import OUTPUTS_ALONE, check_choice, check_int, describe
from pyxai._inputs import format_inputs
from pyxai.attribution.layers.cuts.grad_kwargs import check_grad_kwargs
from pyxai.attribution.layers.cuts.layer_probe import LayerProbe
from pyxai.attribution.layers.cuts.token_layouts import (
    Layout,
    as_maps,
    check_layout,
    warn_of_tokens,
)
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner import Runner
from pyxai.runner.arguments import as_arguments

__all__ = ["GradCam", "LayerGradCam"]


@register(
    "layer_grad_cam",
    summary="maps of a layer, weighted by their mean gradients",
    cost="1 gradient",
    use=(
        "where a convolutional net or vision transformer looks, for each class; coarse as the "
        "layer, and not in input features"
    ),
)
class LayerGradCam(LayerAttribution):
    """Weigh the channels of a layer by their mean gradients and add them up.

    ``a_p = sum_k alpha_k A^k_p``, ``alpha_k = mean over p of dF / dA^k_p``; A^k_p is channel k of
    the layer at position p. Signed, as the theory of effects needs it; the original's ReLU is
    ``relu_attributions=True``. Not upsampled: `LayerAttribution.interpolate` does that.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module
        The layer, usually the last convolution; its output has shape [batch, channels, *positions],
        or a ``reshape_transform`` of `attribute` brings it to that.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
       Gradient-based Localization", ICCV 2017, eqs. 1 and 2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerGradCam
    >>> conv = torch.nn.Conv2d(1, 2, 3)
    >>> net = torch.nn.Sequential(conv, torch.nn.Flatten(), torch.nn.Linear(18, 2)).eval()
    >>> LayerGradCam(net, conv).attribute(torch.ones(4, 1, 5, 5), target=0).shape
    torch.Size([4, 1, 3, 3])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = False,
        attr_dim_summation: bool = True,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        internal_batch_size: int | None = None,
        reshape_transform: Layout = None,
    ) -> Any:
        """Attribute the output to the positions of the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        relu_attributions : bool
            Whether to set negative values to 0.
        attr_dim_summation : bool
            Whether to add up the channels, dimension 1.
        grad_kwargs : dict, optional
            captum's arguments for ``torch.autograd.grad``. ``retain_graph``, ``allow_unused`` and
            ``materialize_grads`` change nothing here: a layer that the output does not depend on
            gets zeros, and results keep no graph.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        reshape_transform : str or callable, optional
            For a layer whose channels are not in dimension 1, as in transformers.
            ``"token_grid"``: it gives [batch, tokens, channels], and the last tokens are those of a
            square grid, without 1, 2 or 5 before them, such as a class token and registers.
            ``"channels_last"``: it gives [batch, *positions, channels]. A function takes what it
            gives and returns [batch, channels, *positions]; it is called for values and gradients,
            so it must only move, leave out or add up.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, 1 or channels, *positions]
            In output units; a tuple if the layer has several tensors.

        Warns
        -----
        PyxaiWarning
            If the channels look like tokens and no ``reshape_transform`` is given.

        Raises
        ------
        ValueError
            If the model does not run the layer, or runs it more than once, or what the layer gives
            does not fit ``reshape_transform``.
        TypeError
            If the layer's value is not floating point.
        NotImplementedError
            If ``grad_kwargs`` ask for something else, as a graph of the gradients is.
        """
        zeros_if_unused = check_grad_kwargs(grad_kwargs)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        check_layout("reshape_transform", reshape_transform)
        values, _ = format_inputs(inputs)
        probe = LayerProbe(
            self.forward_func, self.layer, attribute_to_layer_input, len(values), zeros_if_unused
        )
        arguments = (*values, *as_arguments(additional_forward_args))
        runner = Runner(
            probe,
            target=target,
            additional_forward_args=arguments,
            max_rows=internal_batch_size,
        )
        activations, gradients = probe.run(runner, values[0].shape[0], arguments)
        maps = []
        for activation, gradient in zip(activations, gradients, strict=True):
            wide = torch.promote_types(gradient.dtype, torch.float32)
            if reshape_transform is None:
                warn_of_tokens("reshape_transform", self.layer, activation)
            activation, gradient = (
                as_maps("reshape_transform", reshape_transform, each.to(wide))
                for each in (activation, gradient)
            )
            positions = tuple(range(2, gradient.dim()))
            weight = gradient.mean(positions, keepdim=True) if positions else gradient
            scaled = weight * activation
            if attr_dim_summation:
                scaled = scaled.sum(1, keepdim=True)
            maps.append(scaled.relu() if relu_attributions else scaled)
        return tuple(maps) if len(maps) > 1 else maps[0]


@register(
    "grad_cam",
    summary="Grad-CAM at the last convolution",
    cost="1 gradient",
    use="the same without naming a layer; not for nets without convolutions",
    needs="module",
)
class GradCam(LayerGradCam):
    """`LayerGradCam` on the last convolution of the model, at the size of the input if asked.

    Parameters
    ----------
    forward_func : nn.Module
        The model.
    layer : nn.Module, optional
        Default: the last convolution in the order of registration.

    Raises
    ------
    ValueError
        If no layer is given and the model has no convolution.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
       Gradient-based Localization", ICCV 2017, eqs. 1 and 2.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import GradCam
    >>> conv, head = torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(18, 2)
    >>> net = torch.nn.Sequential(conv, torch.nn.Flatten(), head).eval()
    >>> GradCam(net).attribute(torch.ones(4, 1, 5, 5), 0, upsample="bilinear").shape
    torch.Size([4, 1, 5, 5])
    """

    def __init__(self, forward_func: Callable[..., Any], layer: nn.Module | None = None) -> None:
        if layer is None:
            if not isinstance(forward_func, nn.Module):
                raise TypeError(
                    "forward_func must be a module for its last convolution to be found, got "
                    f"{describe(forward_func)}; give the layer, or {OUTPUTS_ALONE}"
                )
            convolutions = [m for m in forward_func.modules() if _is_convolution(m)]
            if not convolutions:
                exported = isinstance(forward_func, torch.fx.GraphModule)
                raise ValueError(
                    "layer must be given for a model without modules that are convolutions, got "
                    f"None for {type(forward_func).__name__}"
                    + ("; take the model before its export, which keeps no layers" * exported)
                )
            layer = convolutions[-1]
        super().__init__(forward_func, layer)

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        attribute_to_layer_input: bool = False,
        relu_attributions: bool = False,
        attr_dim_summation: bool = True,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        internal_batch_size: int | None = None,
        reshape_transform: Layout = None,
        upsample: str | None = None,
    ) -> Any:
        """Attribute as `LayerGradCam` does, and bring the map to the size of the input if asked.

        Parameters
        ----------
        inputs, target, additional_forward_args, attribute_to_layer_input, relu_attributions, \
        attr_dim_summation, grad_kwargs, internal_batch_size, reshape_transform
            As `LayerGradCam.attribute` takes them.
        upsample : str, optional
            Mode of `interpolate` by which the map gets the size of the input: ``"bilinear"`` for
            images.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, 1 or channels, *positions]
            As `LayerGradCam.attribute`; with ``upsample`` of the positions of the input.

        Raises
        ------
        ValueError
            Also if ``upsample`` is not a mode.
        """
        result = super().attribute(
            inputs,
            target,
            additional_forward_args,
            attribute_to_layer_input,
            relu_attributions,
            attr_dim_summation,
            grad_kwargs,
            internal_batch_size=internal_batch_size,
            reshape_transform=reshape_transform,
        )
        if upsample is None:
            return result
        modes = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area")
        check_choice("upsample", upsample, modes)
        given, _ = format_inputs(inputs)
        dims = result.dim() if isinstance(result, Tensor) else 0
        alike = [each for each in given if each.dim() == dims >= 3]
        if not alike:
            raise ValueError(
                "upsample must be None where no input has the dimensions of the map and positions, "
                f"got it for {describe(result)}"
            )
        return self.interpolate(result, tuple(alike[0].shape[2:]), upsample)


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd)
