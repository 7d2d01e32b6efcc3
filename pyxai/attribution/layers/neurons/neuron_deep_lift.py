"""DeepLIFT of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector
from pyxai.attribution.layers.neurons.bases import ComparedNeurons
from pyxai.attribution.propagated.deep_lift import DeepLift
from pyxai.methods.store import register

__all__ = ["NeuronDeepLift"]


@register(
    "neuron_deep_lift",
    summary="DeepLIFT of the value of a neuron",
    cost="1 output + 1 output up to the layer + 1 gradient up to the layer, traced",
    use="saturated neurons, in one pass and adding up; needs a module all of whose ops have rules",
    of="neuron",
    baselines="optional",
    needs="module",
)
class NeuronDeepLift(ComparedNeurons):
    """DeepLIFT of a neuron: its value instead of the model's output.

    Parameters
    ----------
    model : nn.Module
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    multiply_by_inputs : bool
        Whether attributions are in units of the neuron, rather than per unit of input.

    References
    ----------
    .. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
       Activation Differences", ICML 2017, eqs. 1 to 3, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronDeepLift
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronDeepLift(net, "0").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any = None,
        additional_forward_args: Any = None,
        attribute_to_neuron_input: bool = False,
        custom_attribution_func: Any = None,
    ) -> Any:
        """Attribute the neurons to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        neuron_selector : int, tuple of int and slice, or callable
            An index for each dimension of the layer after the examples; neurons that slices choose
            are added up. A function takes the layer's tensor (or the tuple of its tensors) and
            returns a number for each example, or the sum of these.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Inputs that the model is compared with, in input units; default 0.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        custom_attribution_func : callable, optional
            As of `DeepLift.attribute`.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in units of the neuron.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If inputs or layer are not floating point.
        """
        neurons = self._output_of(neuron_selector, attribute_to_neuron_input)
        return DeepLift(neurons, self._multiply_by_inputs).attribute(
            inputs,
            baselines,
            additional_forward_args=additional_forward_args,
            custom_attribution_func=custom_attribution_func,
        )
