"""Checks shared by the ops of a first layer: where it starts, what players add, its activation."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_device, check_dtype, check_shape, check_tensor

__all__ = ["affine_out", "check_affine"]


def check_affine(start: Tensor, parts: Tensor, activation: str | None) -> tuple[int, int, int]:
    """Return the sizes ``batch, n_players, size``."""
    check_tensor("start", start)
    check_dtype("start", start, (torch.float32, torch.float64))
    if start.dim() != 2:
        raise ValueError(f"start must have shape [batch, size], got {list(start.shape)}")
    batch, size = start.shape
    check_tensor("parts", parts)
    check_dtype("parts", parts, (start.dtype,))
    check_device("parts", parts, start.device)
    given = parts.shape
    if len(given) != 3 or given[0] not in (1, batch) or given[2] != size:
        raise ValueError(
            f"parts must have shape [1 or {batch}, n_players, {size}], got {list(given)}"
        )
    if activation is not None:
        check_choice("activation", activation, ("relu",))
    return batch, given[1], size


def affine_out(out: Tensor | None, shape: tuple[int, ...], start: Tensor) -> Tensor:
    """Return what to write into; the native op alone looks at the strides of ``out``."""
    if out is None:
        return start.new_empty(shape)
    check_tensor("out", out)
    check_dtype("out", out, (start.dtype,))
    check_device("out", out, start.device)
    check_shape("out", out, shape)
    return out
