"""Guided backpropagation of neurons."""

from __future__ import annotations

from typing import Any

from pyxai.attribution.gradients.guided_backprop import GuidedBackprop
from pyxai.attribution.layers.neurons.bases import InsideNeurons, OneGradient
from pyxai.methods.store import register

__all__ = ["NeuronGuidedBackprop"]


@register(
    "neuron_guided_backprop",
    summary="gradient of a neuron in which ReLUs pass positive gradients only",
    cost="1 gradient up to the layer",
    use="sharp pictures of what a unit of a ReLU net sees; no amounts",
    of="neuron",
    needs="module",
)
class NeuronGuidedBackprop(InsideNeurons):
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

    attribute = OneGradient.attribute

    def _gradient(self, neurons: Any, inputs: Any, additional_forward_args: Any) -> Any:
        return GuidedBackprop(neurons).attribute(
            inputs, additional_forward_args=additional_forward_args
        )
