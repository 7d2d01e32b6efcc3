"""What a subset of features is worth: an output of the model, or how near its classes are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from pyxai.explanation.rows import take_target
from pyxai.greedy.divergence import DIVERGENCES, class_log_probabilities, divergence
from pyxai.runner import EveryOutput, Output, Runner, Target
from pyxai.runner.arguments import as_arguments, take_copies
from pyxai.runner.mixing import each_row
from pyxai.runner.target import apply_output

__all__ = ["Objective", "make_objective"]


class Forms(NamedTuple):
    """A model and functions of it: made once a call, since a runner measures each but once."""

    model: Callable[..., Any]
    divergence: Callable[..., Tensor]
    flat: Callable[..., Tensor]
    product: Callable[..., Tensor]


@dataclass(frozen=True)
class Objective:
    """The function G of a call, as something that a `Runner` runs.

    Attributes
    ----------
    forms : Forms
        The user's model, and what is made of it.
    target, arguments
        As for a `Runner`; arguments are a tuple.
    output : Output
        ``"kl"`` and ``"reverse_kl"``, or as for a `Runner`.
    reference : Tensor, shape [batch, n_classes], or None
        float64 log-probabilities at the inputs, for a divergence.
    max_rows : int or None
        As for a `Runner`.
    """

    forms: Forms
    target: Any
    arguments: tuple[Any, ...]
    output: Output
    reference: Tensor | None = None
    max_rows: int | None = None

    def take(self, rows: Tensor, batch: int) -> Objective:
        """Return the objective of some of the examples."""
        return replace(
            self,
            target=take_target(self.target, rows, batch),
            arguments=take_copies(self.arguments, rows, batch),
            reference=None if self.reference is None else self.reference[rows],
        )

    def of_model(self, model: Callable[..., Any], n_inputs: int) -> Objective:
        """Return the same objective of another model."""
        return replace(self, forms=_forms(model, n_inputs, self.output))

    def runner(self) -> Runner:
        """Return what runs G on rows of inputs."""
        if self.reference is None:
            return Runner(
                self.forms.model,
                target=self.target,
                additional_forward_args=self.arguments,
                output=self.output,
                max_rows=self.max_rows,
            )
        arguments = (*self.arguments, self.reference)
        return Runner(
            self.forms.divergence, additional_forward_args=arguments, max_rows=self.max_rows
        )

    def logits_runner(self) -> Runner:
        """Return what runs the model for all of its outputs."""
        return Runner(
            self.forms.flat,
            target=EveryOutput(),
            additional_forward_args=self.arguments,
            max_rows=self.max_rows,
        )

    def product_runner(self) -> Runner:
        """Return what multiplies the outputs by numbers that follow the inputs, in each row."""
        return Runner(
            self.forms.product, additional_forward_args=self.arguments, max_rows=self.max_rows
        )

    def of_outputs(self, outputs: Tensor) -> Tensor:
        """Return G from the model's outputs, [batch, count, n_outputs] -> [batch, count]."""
        batch, count = outputs.shape[:2]
        if self.reference is not None:
            shown = class_log_probabilities(outputs.double())
            return -divergence(str(self.output), self.reference[:, None], shown)
        flat = apply_output(self.output, outputs.flatten(0, 1))
        target = Target(self.target)
        return target.select(flat, slice(0, batch), count, True).view(batch, count)


def make_objective(
    model: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    target: Any,
    arguments: Any,
    output: Any,
    max_rows: int | None,
) -> Objective:
    """Return the objective of a call; a divergence asks for the classes at the inputs, once."""
    arguments = as_arguments(arguments)
    if isinstance(target, Tensor):
        target = target.cpu()  # each runner of a round would wait for it
    forms = _forms(model, len(inputs), output)
    if not isinstance(output, str) or output not in DIVERGENCES:
        return Objective(forms, target, arguments, output, max_rows=max_rows)
    objective = Objective(forms, None, arguments, output, max_rows=max_rows)
    logits = objective.logits_runner().outputs(inputs)
    if len(logits) != len(inputs[0]):
        raise ValueError(
            f"model must return one row for each of {len(inputs[0])} examples for output="
            f"{output!r}, got {len(logits)}"
        )
    logits = logits.double().reshape(len(logits), -1)
    return replace(objective, reference=class_log_probabilities(logits))


def _forms(model: Callable[..., Any], n_inputs: int, output: Output) -> Forms:
    return Forms(model, _Divergence(model, str(output)), _Flat(model), _Product(model, n_inputs))


class _Divergence:
    """Minus the divergence between the classes of a row and those that follow the arguments."""

    def __init__(self, model: Callable[..., Any], output: str) -> None:
        self.model, self.output = model, output

    def __call__(self, *given: Any) -> Tensor:
        *arguments, full = given
        outputs = each_row(self.model(*arguments), len(full)).double().reshape(len(full), -1)
        return -divergence(self.output, full, class_log_probabilities(outputs))


class _Flat:
    """The model, refusing outputs with more than one dimension besides the rows."""

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model

    def __call__(self, *given: Any) -> Tensor:
        outputs: Tensor = self.model(*given)
        if isinstance(outputs, Tensor) and outputs.dim() > 2:
            raise ValueError(
                "model must return [rows] or [rows, n_classes] for this objective, "
                f"got {list(outputs.shape)}"
            )
        return outputs


class _Product:
    """The sum of the model's outputs times numbers that are given as one more input."""

    def __init__(self, model: Callable[..., Any], n_inputs: int) -> None:
        self.model, self.n_inputs = model, n_inputs

    def __call__(self, *given: Any) -> Tensor:
        # Without a gradient of their own: the sum must need one through the inputs alone.
        factors = given[self.n_inputs].detach()
        outputs = self.model(*given[: self.n_inputs], *given[self.n_inputs + 1 :])
        outputs = each_row(outputs, len(factors))
        total: Tensor = (outputs.reshape(factors.shape).to(factors.dtype) * factors).sum(1)
        return total
