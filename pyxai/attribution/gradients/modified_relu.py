"""Gradients with another rule at ReLUs: what guided backpropagation and deconvolution share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai._errors import warn
from pyxai._inputs import format_inputs, restore_form
from pyxai.methods.base import GradientAttribution
from pyxai.propagation.multipliers.engine import target_seed
from pyxai.propagation.relevance.table import gradient
from pyxai.propagation.row_passes import row_passes
from pyxai.runner import Target
from pyxai.runner.arguments import as_arguments, take_arguments
from pyxai.runner.state import find_modules, warn_if_training
from pyxai.tracing import Graph, RuleTable, trace_rows

__all__ = ["RELUS", "ModifiedRelu", "relu_table"]

TensorOrTuple = Tensor | tuple[Tensor, ...]
RELUS = ("relu", "relu6")


class _EveryOp(RuleTable):
    """Differentiates every op, but for those that have a rule of their own."""

    def rule_for(self, node: Any) -> Any:
        return super().rule_for(node) or gradient


def relu_table(method: str) -> RuleTable:
    """Return a table that differentiates every op, to add rules for ReLUs to."""
    return _EveryOp(method)


class ModifiedRelu(GradientAttribution):
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
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.

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
        graph: Graph = trace_rows(self.model, given, arguments)
        if not any(op in RELUS for op in graph.ops):
            warn(
                f"{self.table.method} changes the gradient of ReLUs, and the model has none: the "
                "result is the plain gradient",
            )

        def work(examples: slice) -> tuple[Tensor, ...]:
            part, further = take_arguments((given, arguments), examples, batch)
            with torch.no_grad():
                values = graph.run(part, further)
                _, seed = target_seed(values[graph.output], chosen, examples, 1)
                found = graph.propagate(seed, values, self.table)
            return tuple(
                torch.zeros(value.shape, dtype=seed.dtype, device=value.device)
                if gradient is None
                else gradient
                for gradient, value in zip(found, part, strict=True)
            )

        return restore_form(row_passes(graph, given, 2, work), is_tuple)
