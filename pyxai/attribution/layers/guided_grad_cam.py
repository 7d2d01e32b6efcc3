"""Guided backpropagation, weighted by where Grad-CAM looks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, describe
from pyxai._errors import warn
from pyxai._inputs import format_inputs, restore_form
from pyxai.attribution.gradients.guided_backprop import GuidedBackprop
from pyxai.attribution.layers.cuts.token_layouts import Layout
from pyxai.attribution.layers.grad_cam import LayerGradCam
from pyxai.methods.base import GradientAttribution
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register

__all__ = ["GuidedGradCam"]

TensorOrTuple = Tensor | tuple[Tensor, ...]
MODES = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area")


@register(
    "guided_grad_cam",
    summary="guided backpropagation where Grad-CAM looks",
    cost="2 gradients",
    use=(
        "fine pictures of the places that count for a class; within them it tells as little "
        "of the class as guided backpropagation"
    ),
    needs="module",
)
class GuidedGradCam(GradientAttribution):
    """Guided backpropagation times the upsampled positive part of Grad-CAM.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example; it runs ``layer`` exactly once.
    layer : Module
        Whose map weighs the gradients, usually the last convolution.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    Raises
    ------
    TypeError
        If ``model`` or ``layer`` is no module.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
       Gradient-based Localization", ICCV 2017, section 3.3.
    """

    def __init__(
        self, model: nn.Module, layer: nn.Module, device_ids: list[int] | None = None
    ) -> None:
        super().__init__(model)
        self.model = model
        self._cam = LayerGradCam(model, layer, device_ids)
        self._guided = GuidedBackprop(model)

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        interpolate_mode: str = "nearest",
        attribute_to_layer_input: bool = False,
        *,
        reshape_transform: Layout = None,
    ) -> TensorOrTuple:
        """Compute guided gradients at the positions that Grad-CAM marks.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, channels, *sizes]
            Those of a tuple that have other dimensions than the layer's map, a table beside an
            image, get no attributions.
        target : int, tuple, list or Tensor, optional
            Which output, in any of captum's forms.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        interpolate_mode : str
            How the map is brought to the size of the inputs.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        reshape_transform : str or callable, optional
            For a layer whose channels are not in dimension 1, as of `LayerGradCam.attribute`.

        Returns
        -------
        Tensor or tuple of Tensor, shape of ``inputs``
            In squared output units per input unit; empty, of shape [0], for those that have none.

        Raises
        ------
        ValueError
            If all inputs have other dimensions than the map, or the mode is unknown.
        TypeError
            If a type does not fit.
        """
        check_choice("interpolate_mode", interpolate_mode, MODES)
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        cam = self._cam.attribute(
            inputs,
            target,
            additional_forward_args,
            attribute_to_layer_input=attribute_to_layer_input,
            relu_attributions=True,
            reshape_transform=reshape_transform,
        )
        if isinstance(cam, tuple):
            raise ValueError(
                f"layer must have one tensor for its map to weigh inputs, got {describe(cam)}"
            )
        if all(tensor.dim() != cam.dim() for tensor in tensors):
            raise ValueError(
                f"inputs must have {cam.dim()} dimensions like the map of the layer, "
                f"{list(cam.shape)}, got {list(tensors[0].shape)}"
            )
        guided = self._guided.attribute(tensors, target, additional_forward_args)
        weighed = tuple(
            gradient * _fitted(cam, tensor, interpolate_mode).to(gradient.dtype)
            if tensor.dim() == cam.dim()
            else gradient.new_empty(0)
            for gradient, tensor in zip(guided, tensors, strict=True)
        )
        if any(part.dim() != cam.dim() for part in weighed):
            warn(
                f"inputs without the {cam.dim()} dimensions of the layer's map get no attributions "
                "but an empty tensor"
            )
        return restore_form(weighed, is_tuple)


def _fitted(cam: Tensor, tensor: Tensor, mode: str) -> Tensor:
    if tensor.dim() < 3 or cam.shape[2:] == tensor.shape[2:]:
        return cam
    with torch.no_grad():
        return LayerAttribution.interpolate(cam, tuple(tensor.shape[2:]), mode)
