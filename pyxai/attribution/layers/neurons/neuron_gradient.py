"""Gradients of neurons."""

from __future__ import annotations

from typing import Any

from pyxai.attribution.gradients.saliency import Saliency
from pyxai.attribution.layers.neurons.bases import NeuronsAsOutput, OneGradient
from pyxai.methods.store import register

__all__ = ["NeuronGradient"]


@register(
    "neuron_gradient",
    summary="gradient of a neuron by the inputs",
    cost="1 gradient up to the layer",
    use="a first look at what a unit reacts to; not for amounts",
    of="neuron",
)
class NeuronGradient(NeuronsAsOutput):
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

    attribute = OneGradient.attribute

    def _gradient(self, neurons: Any, inputs: Any, additional_forward_args: Any) -> Any:
        return Saliency(neurons).attribute(
            inputs, abs=False, additional_forward_args=additional_forward_args
        )
