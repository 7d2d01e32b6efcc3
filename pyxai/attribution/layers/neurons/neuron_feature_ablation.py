"""Ablation of features, seen by neurons."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai.attribution.ablation.feature_ablation import FeatureAblation
from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector
from pyxai.attribution.layers.neurons.bases import NeuronsAsOutput
from pyxai.methods.store import register

__all__ = ["NeuronFeatureAblation"]


@register(
    "neuron_feature_ablation",
    summary="fall of the value of a neuron when one feature, or group, is removed",
    cost="n_features + 1 outputs up to the layer",
    use="any model, no gradient needed; misses features that stand in for one another",
    of="neuron",
    baselines="optional",
)
class NeuronFeatureAblation(NeuronsAsOutput):
    """Fall of a neuron's value when a feature, or a group of them, is removed.

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
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
       ECCV 2014, section 4.2, of a neuron.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import NeuronFeatureAblation
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    >>> NeuronFeatureAblation(net, "0").attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    _multiply_by_inputs = True  # differences are in units of the neuron

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        neuron_selector: NeuronSelector,
        baselines: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        attribute_to_neuron_input: bool = False,
        perturbations_per_eval: int = 1,
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
            What replaces a feature, in input units; default 0.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, shape that broadcasts to the inputs, optional
            Integers from 0: features of the same number are replaced together.
        attribute_to_neuron_input : bool
            Whether the neurons are those of the layer's input instead of its output.
        perturbations_per_eval : int
            1: the rows in one call of the model are chosen from its memory. More: at most so many
            perturbations of every example in one call.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in units of the neuron. Of a sum over the examples it has one
            row, of a feature that all of them lose.

        Raises
        ------
        ValueError
            If an argument does not fit, or the model does not run the layer exactly once.
        TypeError
            If inputs or layer are not floating point.
        """
        neurons = self._output_of(neuron_selector, attribute_to_neuron_input)
        return FeatureAblation(neurons).attribute(
            inputs,
            baselines,
            additional_forward_args=additional_forward_args,
            feature_mask=feature_mask,
            perturbations_per_eval=perturbations_per_eval,
        )
