"""The model as a function that can be differentiated any number of times, also by parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyxai.runner.forward import Pass, Rows
from pyxai.runner.runner import Runner
from pyxai.runner.state import Found, find_modules, in_evaluation, left_as_found
from pyxai.runner.target import Output

__all__ = ["DifferentiableModel", "differentiable", "trainable"]

# (rows, examples, n_repeats) -> [rows]; rows are example-major.
DifferentiableModel = Callable[[Rows, slice, int], Tensor]


@contextmanager
def differentiable(runner: Runner, n_examples: int) -> Iterator[DifferentiableModel]:
    """Give the explained output as a function for derivatives of second and higher order.

    ``Runner.values`` and ``Runner.gradients`` cut rows into passes and return detached numbers.
    Here the caller sizes the passes and differentiates, with reverse or with nested forward mode.

    Parameters
    ----------
    runner : Runner
        Holds the model, the target and the extra arguments.
    n_examples : int
        Examples in the whole run: extra arguments of this length are repeated.

    Yields
    ------
    callable
        ``(rows, examples, n_repeats) -> [rows]``: ``rows`` is a tuple of tensors of
        ``examples x n_repeats`` rows, example-major. Valid inside the block only; there no
        parameter needs a gradient, and after it the model is left as found.
    """
    with (
        left_as_found(runner._forward.modules) as state,
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        yield _caller(runner, n_examples, state)


@contextmanager
def trainable(
    forward_func: Callable[..., Any],
    n_examples: int,
    *,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = None,
) -> Iterator[DifferentiableModel]:
    """Give the explained output as a function that parameters can be trained through.

    Parameters
    ----------
    forward_func, target, additional_forward_args, output
        As for `Runner`.
    n_examples : int
        Examples in the whole run: extra arguments of this length are repeated.

    Yields
    ------
    callable
        That of `differentiable`, of the model in evaluation mode, with gradients enabled. What it
        returns may be differentiated after the block too.
    """
    with (
        in_evaluation(find_modules(forward_func)),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        runner = Runner(
            forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            output=output,
        )
        yield _caller(runner, n_examples)


def _caller(runner: Runner, n_examples: int, state: Found | None = None) -> DifferentiableModel:
    """Return the function; with a state, each call of the model starts from it."""
    runner.target.check_examples(n_examples)

    def call(rows: Rows, examples: slice, n_repeats: int) -> Tensor:
        part = Pass(
            examples=examples,
            repeats=slice(0, n_repeats),
            n_examples=n_examples,
            example_major=True,
            width=n_repeats,
            rows=(examples.stop - examples.start) * n_repeats,
        )
        if state is not None:
            state.restore()  # not after it, as the caller has yet to differentiate
        outputs = runner._forward._scalars(rows, part)
        if outputs.shape[0] != part.rows:
            raise ValueError(
                f"model must return one output for each of {part.rows} rows, "
                f"got shape {list(outputs.shape)}"
            )
        return outputs

    return call
