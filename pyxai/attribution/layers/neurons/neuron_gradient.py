"""Gradients of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.gradients.saliency import Saliency
from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector, SummedNeurons
from pyxai.attribution.layers.cuts.up_to_layer import UpToLayer
from pyxai.methods.neuron import NeuronAttribution

__all__ = ["NeuronGradient"]


class NeuronGradient(NeuronAttribution):
    """Gradient of a neuron with respect to the inputs.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.

    References
    ----------
    .. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising
       Image Classification Models and Saliency Maps", ICLR workshop 2014, section 3, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronGradient
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronGradient(net, "0").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

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
        neuron = UpToLayer(
            self.forward_func, self.layer, attribute_to_neuron_input, SummedNeurons(neuron_selector)
        )
        return Saliency(neuron).attribute(
            inputs, abs=False, additional_forward_args=additional_forward_args
        )
