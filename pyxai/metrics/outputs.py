"""What metrics ask of a model besides games."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._errors import PyxaiWarning
from pyxai.runner import EveryOutput, Runner

__all__ = [
    "log_probabilities",
    "log_probabilities_of_each",
    "output_of_each",
    "runner_without_warnings",
]

# Stands for minus infinity, which no model may return, on the way through a runner.
_NEVER = -1e300


def output_of_each(runner: Runner, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return the explained output of each example, [batch], float64.

    Raises
    ------
    ValueError
        If the model returns one scalar for several examples: it says nothing of any one of them.
    """
    outputs, batch = runner.outputs(inputs), len(inputs[0])
    if len(outputs) != batch:
        raise ValueError(
            f"model must return one value for each of {batch} examples, got one scalar for all"
        )
    return outputs.double()


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log-probabilities of classes, [rows, n_classes], float64.

    Raises
    ------
    ValueError
        If the logits have another form.
    """
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise ValueError(
            "model must return logits of shape [rows, n_classes] with at least 2 classes, "
            f"got {list(logits.shape)}"
        )
    return logits.double().log_softmax(1)


def log_probabilities_of_each(
    model: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    arguments: tuple[Any, ...],
    max_rows: int | None,
) -> Tensor:
    """Return the log-probabilities of each example; minus infinity for a probability of 0.

    The game that is played afterwards warns of a model in training mode.
    """

    def bounded(logits: Tensor) -> Tensor:
        return log_probabilities(logits).clamp(min=_NEVER)

    runner = runner_without_warnings(
        model,
        target=EveryOutput(),
        additional_forward_args=arguments,
        output=bounded,
        max_rows=max_rows,
    )
    found = runner.outputs(inputs)
    return found.masked_fill(found <= _NEVER, -torch.inf)


def runner_without_warnings(model: Callable[..., Any], **options: Any) -> Runner:
    """Return a runner of a model that another runner of the same call has warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PyxaiWarning)
        return Runner(model, **options)
