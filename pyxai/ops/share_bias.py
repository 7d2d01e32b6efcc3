"""The share of a constant that belongs to one part of a sum, as contextual decomposition has it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_number, check_tensor

__all__ = ["share_bias", "share_bias_reference"]


def share_bias(
    linear: Tensor,  # [rows, *size]
    bias: Tensor,
    total: Tensor,
    *,
    magnitude: Tensor | None = None,
    rounding: Tensor | float = 0.0,
    ties: Tensor | float = 0.0,
    judged: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Add to parts of sums their share of a constant.

    ``out = l + w b``, ``w = |l| / (|l| + |L - l|)``; ``w = ties`` where the denominator is at most
    ``2 e`` with ``e = magnitude * rounding``, and ``out = L + b`` where else ``|L - l| <= e``.

    Parameters
    ----------
    linear : Tensor, shape [rows, *size]
        Part ``l`` of the sum for each row, any unit. float32 or float64.
    bias : Tensor
        Constant ``b``, in units of ``linear``. It broadcasts over ``linear``, as do all below.
    total : Tensor
        Whole sum ``L``.
    magnitude : Tensor, optional
        Sum of the absolute terms of ``total``; default: it is exact.
    rounding : Tensor, shape [rows, 1, ...], or float
        How far equal sums may be apart whose terms' absolute values sum to 1.
    ties : Tensor or float
        Share where both parts are nothing but rounding, in [0, 1].
    judged : Tensor, optional
        What decides in place of ``linear``: ``total`` and ``magnitude`` are of it then, and no row
        gets all of ``L + b``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``linear`` lives.

    Returns
    -------
    out : Tensor, shape [rows, *size]
        Like ``linear``.
    tied : Tensor, shape []
        bool: whether there were ties.

    Raises
    ------
    ValueError
        If a shape or a device does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One pass over the rows, without gradients. Shares are those of C. Singh, W. J. Murdoch and
    B. Yu, "Hierarchical interpretations for neural network predictions", ICLR 2019, equations 5
    and 6. Deterministic, and independent of the other rows.
    """
    _check(linear)
    name = check_backend(linear.device, backend)
    rows, size = len(linear), math.prod(linear.shape[1:])
    whole, single = linear.shape, torch.Size([rows, *[1] * (linear.dim() - 1)])
    out = torch.empty((rows, size), dtype=linear.dtype, device=linear.device)
    tied = torch.zeros(1, dtype=torch.bool, device=linear.device)
    _C.share_bias(
        linear=linear.detach().reshape(rows, size).contiguous(),
        judged=None if judged is None else _rows("judged", judged, linear, whole),
        total=_rows("total", total, linear, whole),
        bias=_rows("bias", bias, linear, whole),
        magnitude=_rows("magnitude", 0.0 if magnitude is None else magnitude, linear, whole),
        rounding=_rows("rounding", rounding, linear, single),
        ties=_rows("ties", ties, linear, whole),
        out=out,
        tied=tied,
        backend=name,
    )
    return out.view(linear.shape), tied[0]


def _check(linear: Tensor) -> None:
    check_tensor("linear", linear)
    check_dtype("linear", linear, (torch.float32, torch.float64))
    if linear.dim() < 1:
        raise ValueError("linear must have a dimension of rows, got shape []")


def _rows(name: str, value: Tensor | float, linear: Tensor, shape: torch.Size) -> Tensor:
    """Return ``[1 or rows, size]`` of what broadcasts over ``shape``."""
    if not isinstance(value, Tensor):
        value = linear.new_full((), check_number(name, value))
    check_device(name, value, linear.device)
    check_dtype(name, value, (linear.dtype,))
    sizes = zip(reversed(value.shape), reversed(shape), strict=False)
    if value.dim() > len(shape) or any(have not in (1, want) for have, want in sizes):
        raise ValueError(f"{name} must broadcast over shape {list(shape)}, got {list(value.shape)}")
    shared = value.dim() < len(shape) or len(value) == 1
    wide = value.detach().expand(1 if shared else len(value), *shape[1:])
    return wide.reshape(len(wide), math.prod(shape[1:])).contiguous()


def share_bias_reference(
    linear: Tensor,
    bias: Tensor,
    total: Tensor,
    *,
    magnitude: Tensor | None = None,
    rounding: Tensor | float = 0.0,
    ties: Tensor | float = 0.0,
    judged: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Do what `share_bias` does, element by element and in float64."""
    _check(linear)
    decides = linear if judged is None else judged
    terms = torch.zeros(()) if magnitude is None else magnitude
    given = (decides, bias, total, terms, rounding, ties)
    columns = [torch.as_tensor(each, dtype=torch.float64).expand_as(linear) for each in given]
    found, any_tied = [], False
    for part, *values in zip(
        linear.flatten().tolist(), *(each.flatten().tolist() for each in columns), strict=True
    ):
        mine, constant, whole, size, rate, share = values
        others, limit = abs(whole - mine), size * rate
        mine = abs(mine)
        tied = mine + others <= 2 * limit
        any_tied |= tied
        if not tied:
            share = mine / (mine + others)
        takes_all = judged is None and not tied and others <= limit
        found.append(whole + constant if takes_all else part + share * constant)
    out = torch.tensor(found, dtype=torch.float64).view(linear.shape)
    return out, torch.tensor(any_tied)
