"""Weighted first and second moments of gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_dtype, check_tensor
from pyxai.ops._arguments import accumulate_dtype, check_out, flat_path

__all__ = ["path_moments", "path_moments_reference"]


def path_moments(
    grads: Tensor,  # [n_nodes, batch, *features]
    weights: Tensor,  # [n_nodes]
    *,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Add up weighted gradients and weighted squared gradients over the nodes.

    ``out[0] += sum_s weights[s] * grads[s]`` and ``out[1] += sum_s weights[s] * grads[s] ** 2``

    Parameters
    ----------
    grads : Tensor, shape [n_nodes, batch, *features]
        Gradients at the nodes, or samples of anything else. float32, float64, bfloat16 or float16.
    weights : Tensor, shape [n_nodes]
        Weights of the nodes, float64; they sum to 1 for a mean.
    out : Tensor, shape [2, batch, *features], optional
        Added to and returned, so that nodes can arrive in chunks. float64 for float64, else
        float32.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``grads`` lives.

    Returns
    -------
    Tensor, shape [2, batch, *features]
        First and second moment, in the unit of ``grads`` and its square.

    Raises
    ------
    ValueError
        If a shape or a device does not match.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One read of ``grads``. Deterministic on every backend. The variance is
    ``out[1] - out[0] ** 2``; it loses digits where the mean is large against the spread.

    References
    ----------
    .. [1] D. Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv 1706.03825,
       section 3 (the mean; the second moment is its SmoothGrad-squared variant).
    """
    check_tensor("grads", grads)
    dtype = accumulate_dtype(grads.dtype)
    flat, weights = flat_path(grads, weights)
    shape = (2, *grads.shape[1:])
    if out is None:
        out = torch.zeros(shape, dtype=dtype, device=grads.device)
    check_out(out, shape, dtype, grads.device)
    _C.path_moments(
        grads=flat,
        weights=weights,
        out=out.view(2, flat.shape[1]),
        backend=check_backend(grads.device, backend),
    )
    return out


def path_moments_reference(grads: Tensor, weights: Tensor) -> Tensor:
    """Do what `path_moments` does, plainly and in float64."""
    check_dtype("weights", weights, (torch.float64,))
    moments = torch.zeros(2, *grads.shape[1:], dtype=torch.float64)
    for weight, grad in zip(weights, grads.double(), strict=True):
        moments[0] += weight * grad
        moments[1] += weight * grad**2
    return moments
