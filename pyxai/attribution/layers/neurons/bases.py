"""What methods of neurons share: how the sum of some neurons becomes the output of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from pyxai._checks import check_module
from pyxai.attribution.layers.cuts.neuron_selection import NeuronSelector, SummedNeurons
from pyxai.attribution.layers.cuts.up_to_layer import UpToLayer, UpToLayerModule
from pyxai.methods.neuron import NeuronAttribution

__all__ = [
    "ComparedNeurons",
    "InsideNeurons",
    "MultipliedNeurons",
    "NeuronsAsOutput",
    "OneGradient",
]


class NeuronsAsOutput(NeuronAttribution):
    """A method that does with neurons what another one does with an output."""

    _multiply_by_inputs = False

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in units of what is explained, not per unit of input."""
        return self._multiply_by_inputs

    def _output_of(self, neuron_selector: NeuronSelector, at_input: bool) -> Any:
        """Return the model up to its layer, with the sum of the neurons as its output."""
        return UpToLayer(self.forward_func, self.layer, at_input, SummedNeurons(neuron_selector))


class MultipliedNeurons(NeuronsAsOutput):
    """One that multiplies by the change of the inputs, or does not."""

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self._multiply_by_inputs = multiply_by_inputs


class InsideNeurons(NeuronsAsOutput):
    """One that looks inside the model, which is a module."""

    def __init__(self, model: nn.Module, layer: Any, device_ids: list[int] | None = None) -> None:
        super().__init__(model, layer, device_ids)
        check_module("model", model)
        self.model = model

    def _output_of(self, neuron_selector: NeuronSelector, at_input: bool) -> Any:
        return UpToLayerModule(self.model, self.layer, at_input, SummedNeurons(neuron_selector))


class ComparedNeurons(InsideNeurons):
    """One that compares inputs with baselines, layer by layer."""

    def __init__(self, model: nn.Module, layer: Any, multiply_by_inputs: bool = True) -> None:
        super().__init__(model, layer)
        self._multiply_by_inputs = multiply_by_inputs


class OneGradient:
    """Holds what is the `attribute` of each method that takes one gradient.

    No base, for the page of a class lists what is its own.
    """

    def attribute(
        self: Any,
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
            returns a number for each example, or the sum of these.
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
        neurons = self._output_of(neuron_selector, attribute_to_neuron_input)
        return self._gradient(neurons, inputs, additional_forward_args)
