"""Rows that show each player to a degree, differentiable in the degrees and in the values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_tensor
from pyxai.ops._arguments import (
    accumulate_dtype,
    check_inputs,
    flat_baselines,
    flat_players,
    owners_of,
)
from pyxai.ops._segments import Segments, segments_of

__all__ = ["soft_perturb", "soft_perturb_reference"]


def soft_perturb(
    inputs: Tensor,  # [batch, *features]
    baselines: Tensor | float,
    weights: Tensor,  # [n_masks, n_players] or [batch, n_masks, n_players]
    players: Tensor | None = None,
    *,
    backend: str | None = None,
) -> Tensor:
    """Move each player's features between baseline and input by the player's weight.

    ``out[b, m, d, f] = baselines[b, d, f] + weights[b, m, players[b, f]] * (inputs[b, f] -
    baselines[b, d, f])``: `masked_perturb` for masks in [0, 1].

    Parameters
    ----------
    inputs : Tensor, shape [batch, *features]
        Values at weight 1, in input units. float32, float64, bfloat16 or float16.
    baselines : float or Tensor
        Values at weight 0, in input units: one number, or a tensor of the dtype of ``inputs`` and
        of shape [*features] (shared), [1 or batch, *features] (one per example) or
        [1 or batch, n_draws, *features] (several per example, each gives a row).
    weights : Tensor, shape [n_masks, n_players] or [1 or batch, n_masks, n_players]
        Of the dtype of ``inputs``; in [0, 1] for points between the two, other finite values
        extend the line.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features that stay at the input; default: every
        feature is its own player. Checked on the CPU; on a GPU, where a look would wait for the
        device, features of unknown players stay at the input.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``inputs`` lives.

    Returns
    -------
    Tensor, shape [batch, n_masks, n_draws, *features]
        In the dtype of ``inputs``, computed in float32 at least; exact at weights 0 and 1.
        Differentiable once in ``inputs``, ``weights`` and ``baselines``.

    Raises
    ------
    ValueError
        If a shape, a device or a player id does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    Forward: one write of the result. Backward: one read of its gradient for the weights and one
    for the values. Deterministic on every backend.

    References
    ----------
    .. [1] J. Chen et al., "Learning to Explain", ICML 2018, section 3 (training through relaxed
       masks).
    """
    features = check_inputs(inputs)
    batch = inputs.shape[0]
    flat = flat_baselines(baselines, inputs, draws=True)
    table = _flat_weights(weights, inputs, features if players is None else None)
    n_players = table.shape[2]
    owners = flat_players(players, inputs, n_players)
    name = check_backend(inputs.device, backend)
    sorted_sum = name != "cpu" and weights.requires_grad and torch.is_grad_enabled()
    segments = segments_of(players, owners, n_players) if sorted_sum else None
    rows: Tensor = _SoftPerturb.apply(  # type: ignore[no-untyped-call]
        inputs.reshape(batch, features), flat.values, table, flat.n_draws, owners, segments, name
    )
    return rows.view(*rows.shape[:3], *inputs.shape[1:])


def _flat_weights(weights: Tensor, inputs: Tensor, n_players: int | None) -> Tensor:
    """Bring weights to ``[1 or batch, n_masks, n_players]``."""
    check_tensor("weights", weights)
    check_dtype("weights", weights, (inputs.dtype,))
    check_device("weights", weights, inputs.device)
    table = weights.unsqueeze(0) if weights.dim() == 2 else weights
    count = "n_players" if n_players is None else n_players
    if (
        table.dim() != 3
        or table.shape[0] not in (1, inputs.shape[0])
        or n_players not in (None, table.shape[2])
    ):
        raise ValueError(
            f"weights must have shape [n_masks, {count}] or [1 or {inputs.shape[0]}, n_masks, "
            f"{count}], got {list(weights.shape)}"
        )
    return table


class _SoftPerturb(torch.autograd.Function):
    """The native forward and backward as one differentiable function."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,  # [batch, features]
        baselines: Tensor | float,  # [1 or batch, n_draws * features]
        weights: Tensor,  # [1 or batch, n_masks, n_players]
        n_draws: int,
        owners: Tensor | None,
        segments: Segments | None,
        backend: str,
    ) -> Tensor:
        inputs, weights = inputs.contiguous(), weights.contiguous()
        number = None if isinstance(baselines, Tensor) else baselines
        baselines = baselines.contiguous() if isinstance(baselines, Tensor) else baselines
        out = inputs.new_empty((inputs.shape[0], weights.shape[1], n_draws, inputs.shape[1]))
        _C.soft_perturb(
            inputs=inputs,
            baselines=baselines,
            n_draws=n_draws,
            weights=weights,
            players=owners,
            out=out,
            backend=backend,
        )
        ctx.save_for_backward(inputs, baselines if number is None else None, weights, owners)
        ctx.rest = (number, n_draws, segments, backend)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, baselines, weights, owners = ctx.saved_tensors
        number, n_draws, segments, backend = ctx.rest
        for_inputs, for_baselines, for_weights = ctx.needs_input_grad[:3]
        batch, features = inputs.shape
        dtype = accumulate_dtype(inputs.dtype)

        def zeros(wanted: bool, *shape: int) -> Tensor | None:
            return torch.zeros(shape, dtype=dtype, device=inputs.device) if wanted else None

        grad_inputs = zeros(for_inputs, batch, features)
        grad_baselines = zeros(for_baselines, batch, n_draws, features)
        grad_weights = zeros(for_weights, batch, *weights.shape[1:])
        _C.soft_perturb_backward(
            grads=grads.contiguous(),
            inputs=inputs,
            baselines=baselines if number is None else number,
            n_draws=n_draws,
            weights=weights,
            players=owners,
            segments=segments,
            grad_weights=grad_weights,
            grad_inputs=grad_inputs,
            grad_baselines=grad_baselines,
            backend=backend,
        )
        return (
            None if grad_inputs is None else grad_inputs.to(inputs.dtype),
            None if grad_baselines is None else _as_given(grad_baselines, baselines),
            None if grad_weights is None else _as_given(grad_weights, weights),
            *(None,) * 4,
        )


def _as_given(grads: Tensor, argument: Tensor) -> Tensor:
    """Sum over the batch what all examples shared, and return to the argument's shape and dtype."""
    if argument.shape[0] != grads.shape[0]:
        grads = grads.sum(0, keepdim=True)
    return grads.reshape(argument.shape).to(argument.dtype)


def soft_perturb_reference(
    inputs: Tensor,
    baselines: Tensor | float,
    weights: Tensor,
    players: Tensor | None = None,
) -> Tensor:
    """Do what `soft_perturb` does, plainly and in float64; differentiable by autograd."""
    batch, features = inputs.shape[0], math.prod(inputs.shape[1:])
    owners = owners_of(players, inputs)
    flat = flat_baselines(baselines, inputs, draws=True)
    base = flat.wide(batch, features, inputs.dtype)
    end = inputs.double().reshape(batch, features)
    table = (weights if weights.dim() == 3 else weights.unsqueeze(0)).double()
    rows = []
    for b in range(batch):
        degrees = table[b if table.shape[0] > 1 else 0][:, owners[b].clamp(min=0)]
        degrees = torch.where(owners[b] < 0, 1.0, degrees).unsqueeze(1)  # [n_masks, 1, features]
        start = base[b].view(flat.n_draws, features)
        rows.append(start + degrees * (end[b] - start))
    shape = (batch, table.shape[1], flat.n_draws, *inputs.shape[1:])
    return torch.stack(rows).view(shape) if rows else inputs.new_empty(shape).double()
