"""Deep SHAP of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector
from pyxai.attribution.layers.neurons.bases import ComparedNeurons
from pyxai.attribution.propagated.deep_lift_shap import DeepLiftShap
from pyxai.methods.store import register

__all__ = ["NeuronDeepLiftShap"]


@register(
    "neuron_deep_lift_shap",
    summary="DeepLIFT of the value of a neuron, averaged over a background set",
    cost=(
        "1 output + n_background outputs up to the layer + n_background gradients up to the layer, "
        "traced"
    ),
    use="what sets a neuron apart from typical rows",
    of="neuron",
    baselines="distribution",
    needs="module",
)
class NeuronDeepLiftShap(ComparedNeurons):
    """The mean of `NeuronDeepLift` over a distribution of baselines.

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
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, section 4.2, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronDeepLiftShap
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronDeepLiftShap(net, "0").attribute(torch.ones(5, 3), 2, torch.zeros(2, 3)).shape
    torch.Size([5, 3])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any,
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
        baselines : Tensor, tuple of Tensor, or callable, shape [n_baselines, *features]
            Rows to draw from or to compare with; a callable is given the inputs (or nothing) and
            returns them.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        custom_attribution_func : callable, optional
            As of `DeepLiftShap.attribute`.

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
        return DeepLiftShap(neurons, self._multiply_by_inputs).attribute(
            inputs,
            baselines,
            additional_forward_args=additional_forward_args,
            custom_attribution_func=custom_attribution_func,
        )
