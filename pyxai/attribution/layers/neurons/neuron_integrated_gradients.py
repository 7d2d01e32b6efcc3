"""Integrated gradients of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector
from pyxai.attribution.layers.neurons.bases import MultipliedNeurons
from pyxai.attribution.paths.integrated_gradients import IntegratedGradients
from pyxai.methods.store import register

__all__ = ["NeuronIntegratedGradients"]


@register(
    "neuron_integrated_gradients",
    summary="integrated gradients of the value of a neuron",
    cost="n_steps gradients up to the layer",
    use="which inputs raise a unit above its value at the baseline; they add up to the difference",
    of="neuron",
    baselines="optional",
)
class NeuronIntegratedGradients(MultipliedNeurons):
    """Integrated gradients of a neuron: its value instead of the model's output.

    Parameters
    ----------
    forward_func : callable
        The model; it must run ``layer`` exactly once.
    layer : nn.Module or str
        A module or its name.
    device_ids : list of int, optional
        captum's argument for DataParallel models; not needed here.
    multiply_by_inputs : bool
        Whether attributions are in units of the neuron, rather than per unit of input.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
       eq. 1, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronIntegratedGradients
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronIntegratedGradients(net, "0").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        *,
        rule: str | None = None,
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
            Where the path starts, in input units; default 0.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_steps : int
            Number of nodes of the rule.
        method : str
            A rule, as of `IntegratedGradients.attribute`.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain`.

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
        return IntegratedGradients(neurons, self._multiply_by_inputs).attribute(
            inputs,
            baselines,
            additional_forward_args=additional_forward_args,
            n_steps=n_steps,
            method=rule or method,
            internal_batch_size=internal_batch_size,
        )
