"""Weighted sum of gradients along a path, times the input difference."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_bool, check_device, check_dtype, check_shape, check_tensor
from pyxai.ops._arguments import (
    MASK_BITS,
    accumulate_dtype,
    check_inputs,
    check_out,
    flat_baselines,
    flat_path,
    flat_players,
    flat_selected,
    owners_of,
)
from pyxai.ops.masks import unpack_masks
from pyxai.ops.player_sum import player_sum, player_sum_reference

__all__ = ["path_accumulate", "path_accumulate_reference"]


def path_accumulate(
    grads: Tensor,  # [n_nodes, batch, *features]
    weights: Tensor,  # [n_nodes]
    inputs: Tensor,  # [batch, *features]
    baselines: Tensor | float,
    players: Tensor | None = None,
    selected: Tensor | None = None,  # [batch, n_words]
    *,
    n_players: int | None = None,
    multiply_by_inputs: bool = True,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Sum gradients along a path and scale by the input difference.

    ``out[b, d] += (inputs - baselines)[b, d] * sum_s weights[s] * grads[s, b, d]``

    Parameters
    ----------
    grads : Tensor, shape [n_nodes, batch, *features]
        Gradient of the explained output at each path point, in output units per input unit.
        float32, float64, bfloat16 or float16.
    weights : Tensor, shape [n_nodes]
        Quadrature weights, float64; they sum to 1 for a path of unit length.
    inputs : Tensor, shape [batch, *features]
        End of the path, in input units. Same dtype and device as ``grads``.
    baselines : float or Tensor, shape [*features] or [1 or batch, *features]
        Start of the path, in input units.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features that do not move; default: every feature is
        its own player. Checked on the CPU; on a GPU, where a look would wait for the device,
        features of unknown players do not move.
    selected : Tensor, shape [batch, n_words], optional
        int32 packed mask of players that sit at the input all along; their features get 0.
    n_players : int, optional
        If given, sum the attributions of each player's features.
    multiply_by_inputs : bool
        Whether to multiply by ``inputs - baselines``.
    out : Tensor, shape [batch, *features] or [batch, n_players], optional
        Added to, so that nodes can arrive in chunks. float64 for float64, else float32.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``grads`` lives.

    Returns
    -------
    Tensor, shape [batch, *features] or [batch, n_players]
        Attributions in output units, float64 for float64 and float32 otherwise.

    Raises
    ------
    ValueError
        If a shape or a device does not match.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One read of ``grads``, no temporary of that size. Deterministic on every backend.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks",
       ICML 2017, eq. 3.
    """
    check_bool("multiply_by_inputs", multiply_by_inputs)
    features = check_inputs(inputs)
    batch = inputs.shape[0]
    check_tensor("grads", grads)
    check_dtype("grads", grads, (inputs.dtype,))
    check_device("grads", grads, inputs.device)
    check_shape("grads", grads, [None, *inputs.shape])
    rows, weights = flat_path(grads, weights)
    chosen = flat_selected(selected, inputs, features if players is None else n_players)
    limit = n_players if chosen is None or n_players is not None else MASK_BITS * chosen.shape[1]
    owners = flat_players(players, inputs, limit)
    flat = flat_baselines(baselines, inputs)
    sum_dtype = accumulate_dtype(inputs.dtype)
    name = check_backend(inputs.device, backend)
    by_feature = n_players is None
    if out is None or not by_feature:
        sums = torch.zeros(inputs.shape, dtype=sum_dtype, device=inputs.device)
    else:
        sums = check_out(out, inputs.shape, sum_dtype, inputs.device)
    _C.path_accumulate(
        grads=rows.view(rows.shape[0], batch, features),
        weights=weights,
        inputs=inputs.reshape(batch, features).contiguous(),
        baselines=flat.values,
        players=owners,
        selected=chosen,
        multiply_by_inputs=multiply_by_inputs,
        out=sums.view(batch, features),
        backend=name,
    )
    if by_feature:
        return sums
    return player_sum(sums, players, n_players=n_players, out=out, backend=name)


def path_accumulate_reference(
    grads: Tensor,
    weights: Tensor,
    inputs: Tensor,
    baselines: Tensor | float,
    players: Tensor | None = None,
    selected: Tensor | None = None,
    *,
    n_players: int | None = None,
    multiply_by_inputs: bool = True,
) -> Tensor:
    """Do what `path_accumulate` does, plainly and in float64."""
    total = torch.zeros(inputs.shape, dtype=torch.float64)
    for weight, grad in zip(weights.double(), grads.double(), strict=True):
        total += weight * grad
    if multiply_by_inputs:
        # A number is a value of the inputs' dtype, as the model saw it.
        base = torch.as_tensor(baselines, dtype=inputs.dtype).double()
        total = total * (inputs.double() - base)
    owners = owners_of(players, inputs)
    flat = total.reshape(owners.shape)
    fixed = owners < 0
    if selected is not None:
        chosen = unpack_masks(selected, MASK_BITS * selected.shape[1])
        fixed = fixed | chosen.gather(1, owners.clamp(min=0))
    flat = flat.masked_fill(fixed, 0)
    if n_players is not None:
        return player_sum_reference(flat, owners.int(), n_players=n_players)
    return flat.view_as(total)
