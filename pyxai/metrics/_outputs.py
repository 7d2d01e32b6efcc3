"""What metrics ask of a model besides games."""

from __future__ import annotations

from torch import Tensor

from pyxai.runner import Runner

__all__ = ["output_of_each"]


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
