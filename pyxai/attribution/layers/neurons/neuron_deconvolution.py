"""Deconvolution of neurons."""

from __future__ import annotations

from typing import Any

from pyxai.attribution.gradients.deconvolution import Deconvolution
from pyxai.attribution.layers.neurons.bases import InsideNeurons, OneGradient
from pyxai.methods.store import register

__all__ = ["NeuronDeconvolution"]


@register(
    "neuron_deconvolution",
    summary="gradient of a neuron in which ReLUs act on gradients instead of activations",
    cost="1 gradient up to the layer",
    use="to compare with older work; shows edges of the picture rather than the neuron",
    of="neuron",
    needs="module",
)
class NeuronDeconvolution(InsideNeurons):
    """Gradient of a neuron in which ReLUs act on gradients instead of activations.

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
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, section 2.1, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronDeconvolution
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronDeconvolution(net, "1").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    attribute = OneGradient.attribute

    def _gradient(self, neurons: Any, inputs: Any, additional_forward_args: Any) -> Any:
        return Deconvolution(neurons).attribute(
            inputs, additional_forward_args=additional_forward_args
        )
