"""One formula for all methods that weigh gradients along the straight path to the input."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.ops.path_accumulate import path_accumulate
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner

__all__ = ["path_attributions", "rows_of"]


def path_attributions(
    runner: Runner,
    inputs: tuple[Tensor, ...],  # [batch, *features] each
    baselines: tuple[Tensor | float, ...],  # [1 or batch, *features] each
    nodes: Tensor,  # [n_nodes], float64
    weights: Tensor,  # [n_nodes], float64
    *,
    multiply_by_inputs: bool,
) -> tuple[Tensor, ...]:
    """Return ``(x - b) * sum_s weights[s] * df/dx (b + nodes[s] * (x - b))`` for each input.

    Without ``multiply_by_inputs`` the first factor is left out. Sums are kept in float64 for
    float64 inputs and in float32 otherwise, which is also what comes back. The gradients are summed
    as they come, so memory does not grow with the number of nodes.
    """
    totals = tuple(
        torch.zeros(
            tensor.shape,
            dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32,
            device=tensor.device,
        )
        for tensor in inputs
    )

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(
            path_points(tensor[examples], rows_of(baseline, examples), nodes[repeats]).flatten(0, 1)
            for tensor, baseline in zip(inputs, baselines, strict=True)
        )

    def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
        for tensor, baseline, grad, total in zip(inputs, baselines, grads, totals, strict=True):
            chosen = tensor[examples]
            path_accumulate(
                grad.reshape(-1, *chosen.shape),
                weights[repeats],
                chosen,
                rows_of(baseline, examples),
                multiply_by_inputs=multiply_by_inputs,
                out=total[examples],
            )

    runner.gradients(build, inputs[0].shape[0], len(nodes), consume)
    return totals


def rows_of(baseline: Tensor | float, examples: slice) -> Tensor | float:
    """Return the baselines of some examples; one for all stays as it is."""
    if isinstance(baseline, Tensor) and baseline.shape[0] > 1:
        return baseline[examples]
    return baseline
