"""Inputs of a model as pictures of bytes, and back: what information curves are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe

__all__ = ["byte_pictures"]

_CHANNELS = (1, 3, 4)
_HALF_A_LEVEL = 0.5 / 255  # beyond the range: it rounds to the end


def byte_pictures(inputs: Any, to_bytes: Any) -> tuple[Tensor, Callable[[Tensor], Tensor] | None]:
    """Return inputs as bytes, and the function from such bytes to inputs.

    Parameters
    ----------
    inputs : Tensor, shape [batch, channels, height, width] or [batch, height, width]
        Numbers of the model's units.
    to_bytes : pair, or callable
        What the bytes 0 and 255 are in these units: two numbers, or two sequences with one number
        for each channel. Or a function from inputs to uint8 pictures; the way back is None then.

    Returns
    -------
    pictures : Tensor, shape of ``inputs``
        uint8, rounded.
    preprocess : callable or None

    Raises
    ------
    ValueError
        If inputs are no pictures, or a value is out of the range.
    TypeError
        If ``to_bytes`` is neither.
    """
    if callable(to_bytes):
        return to_bytes(inputs), None
    if isinstance(inputs, tuple):
        raise ValueError(f"inputs must be one tensor of pictures, got {len(inputs)} tensors")
    shape = list(inputs.shape)
    channels = 1 if len(shape) == 3 else shape[1] if len(shape) == 4 else 0
    if channels not in _CHANNELS or min(shape[-2:]) < 2:
        raise ValueError(
            "inputs must be pictures, [batch, channels, height, width] of 1, 3 or 4 channels or "
            f"[batch, height, width], for information curves, got shape {shape}"
        )
    low, span = _range(to_bytes, inputs, channels)
    unit = (inputs.double() - low) / span
    if bool((unit < -_HALF_A_LEVEL).any()) or bool((unit > 1 + _HALF_A_LEVEL).any()):
        raise ValueError(
            f"inputs must lie in the range {to_bytes} of to_bytes to become pictures of bytes, "
            f"got {float(inputs.min()):.6g} .. {float(inputs.max()):.6g}"
        )
    dtype, device = inputs.dtype, inputs.device

    def preprocess(pictures: Tensor) -> Tensor:
        return (pictures.to(device).double() / 255 * span + low).to(dtype)

    return (unit * 255).round().clamp(0, 255).to(torch.uint8), preprocess


def _range(to_bytes: Any, inputs: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Return the least value of the range and its span, as tensors that broadcast to inputs."""
    message = (
        "to_bytes must be a function or a pair, what bytes 0 and 255 stand for, each one number "
        f"or {channels} of the channels, the second above the first, got {describe(to_bytes)}"
    )
    if not isinstance(to_bytes, (tuple, list)) or len(to_bytes) != 2:
        raise TypeError(message)
    try:
        ends = [torch.as_tensor(end, dtype=torch.float64, device=inputs.device) for end in to_bytes]
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(message) from None
    if any(end.dim() > 1 or end.numel() not in (1, channels) for end in ends):
        raise ValueError(message)
    ends = [end.reshape(-1, 1, 1) if inputs.dim() == 4 else end.reshape(()) for end in ends]
    span = ends[1] - ends[0]
    if not bool((span > 0).all() & span.isfinite().all()):
        raise ValueError(message)
    return ends[0], span
