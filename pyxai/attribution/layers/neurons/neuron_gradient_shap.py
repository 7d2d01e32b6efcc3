"""Gradient SHAP of neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector
from pyxai.attribution.layers.neurons.bases import MultipliedNeurons
from pyxai.attribution.sampled.gradient_shap import GradientShap
from pyxai.methods.store import register

__all__ = ["NeuronGradientShap"]


@register(
    "neuron_gradient_shap",
    summary="gradients of a neuron at random points between inputs and a background",
    cost="n_samples gradients up to the layer",
    use="a cheap, noisy estimate against many baselines; its error falls with n_samples",
    of="neuron",
    baselines="distribution",
    stochastic=True,
)
class NeuronGradientShap(MultipliedNeurons):
    """Gradient SHAP of a neuron: its value instead of the model's output.

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
    .. [1] G. Erion, J. D. Janizek, P. Sturmfels, S. Lundberg, S.-I. Lee, "Improving performance of
       deep learning models with axiomatic attribution priors and expected gradients", Nature
       Machine Intelligence 3, 2021, eq. 3, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronGradientShap
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronGradientShap(net, "0").attribute(torch.ones(5, 3), 2, torch.zeros(2, 3)).shape
    torch.Size([5, 3])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any,
        n_samples: int = 5,
        stdevs: float | tuple[float, ...] = 0.0,
        additional_forward_args: Any = None,
        attribute_to_neuron_input: bool = False,
        *,
        internal_batch_size: int | None = None,
        seed: int = 0,
        example_ids: Any = None,
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
        n_samples : int
            Draws per example.
        stdevs : float or tuple of float
            Standard deviation of the noise, in input units; one for all or one per input tensor.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        seed : int
            Fixes all draws; from 0 to 2**64 - 1.
        example_ids : sequence of int or Tensor, shape [batch], optional
            Names of the examples, which key their draws; default: their content.

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
        return GradientShap(neurons, self._multiply_by_inputs).attribute(
            inputs,
            baselines,
            n_samples,
            stdevs,
            additional_forward_args=additional_forward_args,
            internal_batch_size=internal_batch_size,
            seed=seed,
            example_ids=example_ids,
        )
