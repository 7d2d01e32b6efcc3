"""Guided backpropagation of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pyxai._checks import check_module
from pyxai.attribution.gradients.guided_backprop import GuidedBackprop
from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector, SummedNeurons
from pyxai.attribution.layers.cuts.up_to_layer import UpToLayerModule
from pyxai.methods.neuron import NeuronAttribution

__all__ = ["NeuronGuidedBackprop"]


class NeuronGuidedBackprop(NeuronAttribution):
    """Gradient of a neuron in which ReLUs pass positive gradients only.

    Parameters
    ----------
    model : nn.Module
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    References
    ----------
    .. [1] J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR
       workshop 2015, section 3.4, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronGuidedBackprop
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronGuidedBackprop(net, "1").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        model: nn.Module,
        layer: Any,
        device_ids: list[int] | None = None,
    ) -> None:
        super().__init__(model, layer, device_ids)
        check_module("model", model)
        self.model = model

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        additional_forward_args: Any = None,
        attribute_to_neuron_input: bool = False,
    ) -> Any:
        """Attribute the neurons to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        neuron_selector : int, tuple of int and slice, or callable
            An index for each dimension of the layer after the examples; neurons that slices choose
            are added up. A function takes the layer's tensor (or the tuple of its tensors) and
            returns a number for each example.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in units of the neuron per unit of input.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If inputs or layer are not floating point.
        """
        neuron = UpToLayerModule(
            self.model, self.layer, attribute_to_neuron_input, SummedNeurons(neuron_selector)
        )
        return GuidedBackprop(neuron).attribute(
            inputs, additional_forward_args=additional_forward_args
        )
