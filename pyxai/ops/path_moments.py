"""Weighted moments of gradients, or of gradients times the way between two points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import (
    check_bool,
    check_device,
    check_dtype,
    check_int,
    check_shape,
    check_tensor,
)
from pyxai.ops._arguments import accumulate_dtype, check_out, flat_path, flat_rows

__all__ = ["path_moments", "path_moments_reference"]

_MAX_ORDER = 4


def path_moments(
    grads: Tensor,  # [n_nodes, batch, *features], or [batch, n_nodes, *features]
    weights: Tensor,  # [n_nodes]
    *,
    inputs: Tensor | None = None,
    baselines: Tensor | None = None,
    rows: Tensor | None = None,
    origin: Tensor | None = None,
    order: int = 2,
    example_major: bool = False,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Add up weighted powers of gradients over the nodes.

    ``out[k] += sum_s weights[s] * (v[s] - origin) ** (k + 1)`` for k < ``order``, where ``v[s]`` is
    ``grads[s]`` or, with ``inputs``, ``(inputs - baselines[rows[s]]) * grads[s]``.

    Parameters
    ----------
    grads : Tensor, shape [n_nodes, batch, *features] or [batch, n_nodes, *features]
        Gradients at the nodes, or samples of anything else; which of the two shapes says
        ``example_major``. float32, float64, bfloat16 or float16.
    weights : Tensor, shape [n_nodes]
        Weights of the nodes, float64; they sum to 1 for a mean.
    inputs : Tensor, shape [batch, *features] or [batch, n_nodes, *features], optional
        Ends of the ways, in input units; with ``baselines``, ``rows`` and ``example_major`` only.
        Same dtype and device as ``grads``.
    baselines : Tensor, shape [n_rows, *features], optional
        Table of starts, in input units.
    rows : Tensor, shape [batch, n_nodes], optional
        int64 row of ``baselines`` at which each way starts. Checked on the CPU; on a GPU, where a
        look would wait for the device, rows out of range are brought into it.
    origin : Tensor, shape [batch, *features], optional
        What is taken from the values, of the dtype of ``out``: near their mean, so that no digits
        of a variance are lost where it is small beside the mean; default 0.
    order : int
        Highest power, 1 to 4.
    example_major : bool
        Whether the nodes of an example stand side by side.
    out : Tensor, shape [order, batch, *features], optional
        Added to and returned, so that nodes can arrive in chunks. float64 for float64, else
        float32.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``grads`` lives.

    Returns
    -------
    Tensor, shape [order, batch, *features]
        Moments about the origin, in the unit of the values and its powers.

    Raises
    ------
    ValueError
        If a shape, a device, a row or the order does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One read of ``grads``. Deterministic on every backend. The variance is
    ``out[1] - out[0] ** 2`` for weights that sum to 1, whatever the origin; it loses digits where
    the mean is far from the origin against the spread.

    References
    ----------
    .. [1] D. Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv 1706.03825,
       section 3 (the mean; the second moment is its SmoothGrad-squared variant).
    .. [2] G. Erion, J. D. Janizek, P. Sturmfels, S. M. Lundberg, S.-I. Lee, "Improving Performance
       of Deep Learning Models with Axiomatic Attribution Priors and Expected Gradients", Nature
       Machine Intelligence 3, 2021, eq. 4 (the mean over baselines and positions).
    """
    check_tensor("grads", grads)
    check_bool("example_major", example_major)
    check_int("order", order, minimum=1)
    if order > _MAX_ORDER:
        raise ValueError(f"order must be at most {_MAX_ORDER}, got {order}")
    flat, weights = flat_path(grads, weights, node_axis=int(example_major))
    groups, batch = (len(grads), len(grads)) if example_major else (1, grads.shape[1])
    total = math.prod(grads.shape[2:]) if example_major else flat.shape[1]
    shape = (order, batch, *grads.shape[2:])
    dtype = accumulate_dtype(grads.dtype)
    if out is None:
        out = torch.zeros(shape, dtype=dtype, device=grads.device)
    check_out(out, shape, dtype, grads.device)
    if origin is not None:
        check_dtype("origin", check_tensor("origin", origin), (dtype,))
        check_device("origin", origin, grads.device)
        check_shape("origin", origin, shape[1:])
        origin = origin.reshape(groups, total).contiguous()
    ends, starts, rows = _ways(grads, inputs, baselines, rows, example_major)
    _C.path_moments(
        grads=flat.view(groups, weights.numel(), total),
        weights=weights,
        inputs=ends,
        baselines=starts,
        rows=rows,
        origin=origin,
        out=out.view(order, groups, total),
        backend=check_backend(grads.device, backend),
    )
    return out


def _ways(
    grads: Tensor,
    inputs: Tensor | None,
    baselines: Tensor | None,
    rows: Tensor | None,
    example_major: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Check where ways end and start and return them flat, the ends [batch, 1 or n_nodes, ...]."""
    if inputs is None or baselines is None or rows is None:
        if any(value is not None for value in (inputs, baselines, rows)):
            raise ValueError("inputs, baselines and rows must be given together, got some of them")
        return None, None, None
    if not example_major:
        raise ValueError("inputs must be given with example_major=True only, got False")
    total = math.prod(grads.shape[2:])
    for name, value in (("inputs", inputs), ("baselines", baselines)):
        check_dtype(name, check_tensor(name, value), (grads.dtype,))
        check_device(name, value, grads.device)
    if inputs.shape == grads.shape:
        ends = inputs.reshape(*grads.shape[:2], total)
    else:
        check_shape("inputs", inputs, [len(grads), *grads.shape[2:]])
        ends = inputs.reshape(len(grads), 1, total)
    check_shape("baselines", baselines, [None, *grads.shape[2:]])
    starts = baselines.reshape(len(baselines), total)
    return ends.contiguous(), starts.contiguous(), flat_rows(rows, grads.shape[:2], baselines)


def path_moments_reference(
    grads: Tensor,
    weights: Tensor,
    *,
    inputs: Tensor | None = None,
    baselines: Tensor | None = None,
    rows: Tensor | None = None,
    origin: Tensor | None = None,
    order: int = 2,
    example_major: bool = False,
) -> Tensor:
    """Do what `path_moments` does, plainly and in float64."""
    check_dtype("weights", weights, (torch.float64,))
    moments = torch.zeros(
        order, *(grads.shape[:1] if example_major else grads.shape[1:2]), *grads.shape[2:]
    ).double()
    for s, weight in enumerate(weights):
        value = (grads[:, s] if example_major else grads[s]).double()
        if inputs is not None and baselines is not None and rows is not None:
            end = inputs[:, s] if inputs.dim() == grads.dim() else inputs
            value = value * (end.double() - baselines.double()[rows[:, s]])
        if origin is not None:
            value = value - origin.double()
        for k in range(order):
            moments[k] += weight * value ** (k + 1)
    return moments
