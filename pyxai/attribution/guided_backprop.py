"""Gradients with another rule at ReLUs: guided backpropagation and deconvolution."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai._errors import PyxaiWarning
from pyxai._inputs import format_inputs, restore_form
from pyxai.attribution.base import GradientAttribution
from pyxai.attribution.multipliers.engine import target_seed
from pyxai.attribution.relevance.table import gradient
from pyxai.graph import Call, Graph, RuleTable, trace
from pyxai.graph.trace import as_arguments
from pyxai.runner import Target
from pyxai.runner.state import find_modules, warn_if_training

__all__ = ["Deconvolution", "GuidedBackprop"]

TensorOrTuple = Tensor | tuple[Tensor, ...]
RELUS = ("relu", "relu6")


class _EveryOp(RuleTable):
    """Differentiates every op, but for those that have a rule of their own."""

    def rule_for(self, node: Any) -> Any:
        return super().rule_for(node) or gradient


_GUIDED = _EveryOp("Guided Backprop")
_DECONVOLUTION = _EveryOp("Deconvolution")


@_GUIDED.register(*RELUS)
def _guided(call: Call, relevance: Tensor) -> dict[str, Tensor]:
    return call.vjp(relevance.clamp(min=0))


@_DECONVOLUTION.register(*RELUS)
def _deconvolved(call: Call, relevance: Tensor) -> dict[str, Tensor]:
    return {"self": relevance.clamp(min=0)}


class _ModifiedRelu(GradientAttribution):
    """What the two methods share; they differ in their table."""

    table: RuleTable

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be an nn.Module, got {describe(model)}")
        self.model = model

    def attribute(
        self, inputs: TensorOrTuple, target: Any = None, additional_forward_args: Any = None
    ) -> TensorOrTuple:
        """Compute the modified gradient.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            float32, float64, bfloat16 or float16.
        target : int, tuple, list or Tensor, optional
            Which output, in any of captum's forms.
        additional_forward_args : any, optional
            Further arguments of the model.

        Returns
        -------
        Tensor or tuple of Tensor, shape of ``inputs``
            In output units per input unit, float64 for float64 inputs, else float32.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.

        Warns
        -----
        PyxaiWarning
            If the model has no ReLU, so that the result is the plain gradient.
        """
        given, is_tuple = format_inputs(inputs, gradients=True)
        arguments = as_arguments(additional_forward_args)
        chosen = Target(target)
        batch = given[0].shape[0]
        chosen.check_examples(batch)
        warn_if_training(find_modules(self.model), self.model)
        graph: Graph = trace(self.model, given, arguments)
        if not any(op in RELUS for op in graph.ops):
            warnings.warn(
                f"{self.table.method} changes the gradient of ReLUs, and the model has none: the "
                "result is the plain gradient",
                PyxaiWarning,
                stacklevel=2,
            )
        with torch.no_grad():
            values = graph.run(given, arguments)
            _, seed = target_seed(values[graph.output], chosen, slice(0, batch), 1)
            found = graph.propagate(seed, values, self.table)
        result = tuple(
            torch.zeros(value.shape, dtype=seed.dtype, device=value.device)
            if part is None
            else part
            for part, value in zip(found, given, strict=True)
        )
        return restore_form(result, is_tuple)


class GuidedBackprop(_ModifiedRelu):
    """Gradient in which a ReLU passes only positive gradients of positive activations.

    Every ReLU of the model is found, whether it is a module, a function, re-used or in place.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``.

    References
    ----------
    .. [1] J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR
       workshop 2015, section 3.4.
    """

    table = _GUIDED


class Deconvolution(_ModifiedRelu):
    """Gradient in which a ReLU passes positive gradients, whatever its activation.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``.

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
       2014, section 2.1.
    """

    table = _DECONVOLUTION
