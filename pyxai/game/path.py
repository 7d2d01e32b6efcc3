"""One formula for all methods that weigh gradients along the straight path to the input."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from pyxai.ops.path_accumulate import path_accumulate
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner

__all__ = ["input_gradients", "path_attributions", "rows_of", "sum_dtype"]


def input_gradients(runner: Runner, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return ``df/dx`` at the inputs; float64 for float64 and float32 otherwise."""
    parts: list[tuple[Tensor, ...]] = []

    def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
        # Copies: under no_grad a model may write into its rows, and these are the caller's.
        return tuple(rows_of(tensor, examples).clone() for tensor in inputs)

    def consume(_: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
        parts.append(grads)

    runner.gradients(build, inputs[0].shape[0], 1, consume, like=inputs, own_rows=True)
    whole = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
    return tuple(grad.to(sum_dtype(grad.dtype)) for grad in whole)


def path_attributions(
    runner: Runner,
    inputs: tuple[Tensor, ...],  # [batch, *features] each
    baselines: tuple[Tensor | float, ...],  # [1 or batch, *features] each
    nodes: Tensor,  # [n_nodes], float64
    weights: Tensor,  # [n_nodes], float64
    *,
    multiply_by_inputs: bool,
    players: tuple[Tensor | None, ...] | None = None,  # int32 [1 or batch, *features] each
    selected: Tensor | None = None,  # int32 [batch, n_words]
    cotangents: Tensor | None = None,  # [n_nodes, batch, n_outputs]
) -> tuple[Tensor, ...]:
    """Return ``(x - b) * sum_s weights[s] * df/dx (b + nodes[s] * (x - b))`` for each input.

    Without ``multiply_by_inputs`` the first factor is left out. Sums are kept in float64 for
    float64 inputs and in float32 otherwise, which is also what comes back. The gradients are summed
    as they come, so memory does not grow with the number of nodes.

    Features of players that are ``selected`` sit at the input all along and get 0. ``cotangents``
    are given to the model after the inputs, a row for each point.
    """
    owners = players or (None,) * len(inputs)
    totals = tuple(
        torch.zeros(tensor.shape, dtype=sum_dtype(tensor.dtype), device=tensor.device)
        for tensor in inputs
    )

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        points = tuple(
            path_points(
                rows_of(tensor, examples),
                rows_of(baseline, examples),
                rows_of(nodes, repeats),
                rows_of(owner, examples),
                None if selected is None else selected[examples],
            ).flatten(0, 1)
            for tensor, baseline, owner in zip(inputs, baselines, owners, strict=True)
        )
        if cotangents is None:
            return points
        return (*points, cotangents[repeats, examples].flatten(0, 1))

    def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
        for tensor, baseline, owner, grad, total in zip(
            inputs, baselines, owners, grads[: len(inputs)], totals, strict=True
        ):
            chosen = rows_of(tensor, examples)
            path_accumulate(
                grad.reshape(grad.shape[0] // chosen.shape[0], *chosen.shape),
                rows_of(weights, repeats),
                chosen,
                rows_of(baseline, examples),
                rows_of(owner, examples),
                None if selected is None else selected[examples],
                multiply_by_inputs=multiply_by_inputs,
                out=rows_of(total, examples),
            )

    like = inputs if cotangents is None else (*inputs, cotangents.flatten(0, 1))
    batch, n_nodes = inputs[0].shape[0], nodes.shape[0]
    runner.gradients(build, batch, n_nodes, consume, like=like, own_rows=True)
    return totals


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which terms of attributions to inputs of a dtype are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


RowsT = TypeVar("RowsT", Tensor, "Tensor | float", "Tensor | None")


def rows_of(value: RowsT, examples: slice) -> RowsT:
    """Return the rows of some examples; what is one for all, or is all of them, stays as it is."""
    if not isinstance(value, Tensor):
        return value
    count = value.shape[0]
    if count <= 1 or (examples.start == 0 and examples.stop == count):
        return value
    return value[examples]
