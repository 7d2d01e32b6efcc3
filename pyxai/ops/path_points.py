"""Points of straight paths from baselines to inputs, for all nodes of a quadrature rule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_shape, check_tensor, describe
from pyxai.ops._arguments import (
    MASK_BITS,
    check_inputs,
    check_out,
    flat_baselines,
    flat_players,
    flat_rows,
    flat_selected,
    owners_of,
)
from pyxai.ops.masks import unpack_masks

__all__ = ["path_points", "path_points_reference"]


def path_points(
    inputs: Tensor,  # [batch, *features]
    baselines: Tensor | float,
    nodes: Tensor | Sequence[float],  # [n_nodes] or [n_nodes, n_paths]
    players: Tensor | None = None,
    selected: Tensor | None = None,  # [batch, n_words]
    *,
    rows: Tensor | None = None,  # [n_paths]
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Write the points of a path at all nodes.

    ``out[s, b, f] = baselines[b, f] + nodes[s] * (inputs - baselines)[b, f]``; features whose
    player is selected, or that belong to nobody, sit at the input. With ``rows`` there are several
    paths to every input, each with nodes and a start of its own: ``out[s, r] = baselines[rows[r]] +
    nodes[s, r] * (inputs[r // k] - baselines[rows[r]])`` for ``n_paths = k * batch``.

    Parameters
    ----------
    inputs : Tensor, shape [batch, *features]
        End of the path, in input units. float32, float64, bfloat16 or float16.
    baselines : float or Tensor, shape [*features] or [1 or batch, *features]
        Start of the path, in input units. Same dtype and device as ``inputs``.
    nodes : Tensor or sequence of float, shape [n_nodes], or [n_nodes, n_paths] with ``rows``
        Positions on the path, 0 at the baseline and 1 at the input; float64.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features that do not move; default: every feature is
        its own player. Checked on the CPU; on a GPU, where a look would wait for the device,
        features of a player without a bit in ``selected`` do not move.
    selected : Tensor, shape [batch, n_words], optional
        int32 packed mask of players that sit at the input all along.
    rows : Tensor, shape [n_paths], optional
        int64 row of ``baselines``, ``[n_rows, *features]``, at which each path starts; without
        ``players`` and ``selected`` only. Checked on the CPU; on a GPU, where a look would wait for
        the device, rows out of range are brought into it.
    out : Tensor, shape [n_nodes, batch or n_paths, *features], optional
        Written to and returned.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``inputs`` lives.

    Returns
    -------
    Tensor, shape [n_nodes, batch or n_paths, *features]
        In the dtype of ``inputs``, computed in float32 at least; exact at nodes 0 and 1.

    Raises
    ------
    ValueError
        If a shape, a device or a player id does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    Cost: one write of the result. Deterministic, and the same bits on CPU and host_run.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks",
       ICML 2017, section 3.
    """
    features = check_inputs(inputs)
    batch = inputs.shape[0]
    positions = _nodes(nodes, None if rows is None else check_tensor("rows", rows).numel())
    chosen = flat_selected(selected, inputs, features if players is None else None)
    owners = flat_players(players, inputs, None if chosen is None else MASK_BITS * chosen.shape[1])
    starts: Tensor | float
    if rows is None:
        starts = flat_baselines(baselines, inputs).values
        n_paths = batch
    else:
        starts = _table(baselines, inputs, rows, players, selected)
        n_paths = rows.numel()
    shape = (positions.shape[0], n_paths, *inputs.shape[1:])
    if out is None:
        out = torch.empty(shape, dtype=inputs.dtype, device=inputs.device)
    check_out(out, shape, inputs.dtype, inputs.device)
    _C.path_points(
        inputs=inputs.reshape(batch, features).contiguous(),
        baselines=starts,
        nodes=positions.to(inputs.device),
        rows=None if rows is None else rows.contiguous(),
        players=owners,
        selected=chosen,
        out=out.view(shape[0], n_paths, features),
        backend=check_backend(inputs.device, backend),
    )
    return out


def _nodes(nodes: Tensor | Sequence[float], n_paths: int | None) -> Tensor:
    """Return nodes as float64 ``[n_nodes, 1]``, or ``[n_nodes, n_paths]``."""
    if not isinstance(nodes, Tensor):
        nodes = torch.tensor(nodes, dtype=torch.float64)
    check_dtype("nodes", check_tensor("nodes", nodes), (torch.float64,))
    if n_paths is not None and nodes.dim() == 2:
        check_shape("nodes", nodes, [None, n_paths])
        return nodes.contiguous()
    check_shape("nodes", nodes, [None])
    return nodes[:, None].contiguous()


def _table(
    baselines: Tensor | float,
    inputs: Tensor,
    rows: Tensor,
    players: Tensor | None,
    selected: Tensor | None,
) -> Tensor:
    """Check baselines that paths choose rows of and return them flat."""
    if players is not None or selected is not None:
        raise ValueError("rows must be given without players and selected, got them together")
    if not isinstance(baselines, Tensor):
        raise TypeError(f"baselines must be a tensor with rows, got {describe(baselines)}")
    check_dtype("baselines", baselines, (inputs.dtype,))
    check_device("baselines", baselines, inputs.device)
    check_shape("baselines", baselines, [None, *inputs.shape[1:]])
    batch = inputs.shape[0]
    if rows.numel() % max(batch, 1) or (rows.numel() and not batch):
        raise ValueError(f"rows must be a multiple of {batch} inputs, got {rows.numel()}")
    flat_rows(rows, [None], baselines)
    return baselines.reshape(len(baselines), math.prod(inputs.shape[1:])).contiguous()


def path_points_reference(
    inputs: Tensor,
    baselines: Tensor | float,
    nodes: Tensor | Sequence[float],
    players: Tensor | None = None,
    selected: Tensor | None = None,
    *,
    rows: Tensor | None = None,
) -> Tensor:
    """Do what `path_points` does, plainly and in float64."""
    batch, features = inputs.shape[0], math.prod(inputs.shape[1:])
    if rows is not None:
        ends = inputs.double().repeat_interleave(rows.numel() // max(batch, 1), 0)
        starts = torch.as_tensor(baselines).double()[rows]
        positions = _nodes(nodes, rows.numel())
        spread = positions.view(*positions.shape, *[1] * (inputs.dim() - 1))
        return starts + spread * (ends - starts)
    base = flat_baselines(baselines, inputs).wide(batch, features, inputs.dtype)
    end = inputs.double().reshape(batch, features)
    owners = owners_of(players, inputs)
    fixed = owners < 0
    if selected is not None:
        chosen = unpack_masks(selected, MASK_BITS * selected.shape[1])
        fixed = fixed | chosen.gather(1, owners.clamp(min=0))
    points = [torch.where(fixed, end, base + float(node) * (end - base)) for node in nodes]
    stacked = torch.stack(points) if points else end.new_empty(0, batch, features)
    return stacked.view(len(points), *inputs.shape)
