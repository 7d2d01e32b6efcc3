"""Weighted sum of gradients along a path, times the input difference."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_shape, check_tensor
from pyxai.ops._arguments import accumulate_dtype, check_inputs, flat_baselines, flat_players
from pyxai.ops.masks import unpack_masks

__all__ = ["path_accumulate", "path_accumulate_reference"]


def path_accumulate(
    grads: Tensor,  # [n_nodes, batch, *features]
    weights: Tensor,  # [n_nodes]
    inputs: Tensor,  # [batch, *features]
    baselines: Tensor | float,
    players: Tensor | None = None,
    selected: Tensor | None = None,  # [batch, n_words]
    *,
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
        int32 player of each feature, read with ``selected``; default: every feature is its own.
    selected : Tensor, shape [batch, n_words], optional
        int32 packed mask of players that sit at the input all along; their features get 0.
    multiply_by_inputs : bool
        Whether to multiply by ``inputs - baselines``.
    out : Tensor, shape [batch, *features], optional
        Added to, so that nodes can arrive in chunks. float64 for float64, else float32.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``grads`` lives.

    Returns
    -------
    Tensor, shape [batch, *features]
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
    features = check_inputs(inputs)
    batch = inputs.shape[0]
    check_tensor("grads", grads)
    check_dtype("grads", grads, (inputs.dtype,))
    check_device("grads", grads, inputs.device)
    check_shape("grads", grads, [None, *inputs.shape])
    check_tensor("weights", weights)
    check_dtype("weights", weights, (torch.float64,))
    check_shape("weights", weights, [grads.shape[0]])
    flat = flat_baselines(baselines, inputs)
    sum_dtype = accumulate_dtype(inputs.dtype)
    if out is None:
        out = torch.zeros(inputs.shape, dtype=sum_dtype, device=inputs.device)
    else:
        check_dtype("out", out, (sum_dtype,))
        check_shape("out", out, list(inputs.shape))
    _C.path_accumulate(
        grads.reshape(grads.shape[0], batch, features).contiguous(),
        weights.to(inputs.device).contiguous(),
        inputs.reshape(batch, features).contiguous(),
        flat.tensor,
        flat.value,
        flat_players(players, inputs),
        selected,
        multiply_by_inputs,
        out.view(batch, features),
        check_backend(inputs.device, backend),
    )
    return out


def path_accumulate_reference(
    grads: Tensor,
    weights: Tensor,
    inputs: Tensor,
    baselines: Tensor | float,
    players: Tensor | None = None,
    selected: Tensor | None = None,
    *,
    multiply_by_inputs: bool = True,
) -> Tensor:
    """Do what `path_accumulate` does, plainly and in float64."""
    total = torch.zeros(inputs.shape, dtype=torch.float64)
    for weight, grad in zip(weights.double(), grads.double(), strict=True):
        total += weight * grad
    if multiply_by_inputs:
        base = baselines.double() if isinstance(baselines, Tensor) else baselines
        total = total * (inputs.double() - base)
    if selected is None:
        return total
    flat = total.flatten(1)
    owners = torch.arange(flat.shape[1]) if players is None else players.reshape(-1, flat.shape[1])
    owners = owners.expand_as(flat).long()
    chosen = unpack_masks(selected, 32 * selected.shape[1])
    flat[(owners < 0) | chosen.gather(1, owners.clamp(min=0))] = 0
    return flat.view_as(total)
