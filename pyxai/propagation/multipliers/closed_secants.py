"""Secants of frequent activations in closed form: no derivative, no autograd, no cancellation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyxai.tracing import Call

__all__ = ["CLOSED_SECANTS", "exp_secant"]


def relu(call: Call, x: Tensor, b: Tensor) -> Tensor:
    """``max(x, b) / |x - b|``, cut to [0, 1].

    Above 1 if both ends are positive, below 0 if none is; where nothing moves the sign of the end
    decides, and at 0 the derivative is 0.
    """
    distance = (x - b).abs_().add_(torch.finfo(x.dtype).tiny)
    return torch.maximum(x, b).div_(distance).clamp_(0, 1)


def leaky_relu(call: Call, x: Tensor, b: Tensor) -> Tensor:
    """``s + (1 - s)`` times the secant of the positive part."""
    slope = float(call["negative_slope"])
    return relu(call, x, b).mul_(1 - slope).add_(slope)


def tanh(call: Call, x: Tensor, b: Tensor) -> Tensor:
    """``tanh(d)/d (1 - tanh(x) tanh(b))`` with ``d = x - b``: the addition theorem."""
    return _tanh_over(x - b).mul_(1 - x.tanh() * b.tanh())


def sigmoid(call: Call, x: Tensor, b: Tensor) -> Tensor:
    """``tanh(d/2)/d (p + q - 2 p q)``, from ``p = (1 + tanh(x/2))/2``."""
    p, q = x.sigmoid(), b.sigmoid()
    return _tanh_over((x - b).div_(2)).mul_(p + q - 2 * p * q).div_(2)


def _tanh_over(step: Tensor) -> Tensor:
    """Return ``tanh(d)/d``, 1 at 0. Overwrites its argument."""
    # tanh(d) rounds to d below this, so that the quotient is 1 there.
    small = step.abs() < torch.finfo(step.dtype).eps
    safe = step.masked_fill_(small, 1e-30)
    return torch.tanh(safe).div_(safe)


def exp_secant(x: Tensor, b: Tensor) -> Tensor:
    """Return ``(e^x - e^b) / (x - b)``: the mean of exp between them, for any distance."""
    distance = (x - b).abs_()
    # e^max (1 - e^-d) / d: nothing overflows that does not for exp itself.
    ratio = -torch.expm1(-distance) / distance
    ratio = ratio.masked_fill_(distance == 0, 1.0)
    upper = torch.maximum(x, b)
    # Both ends minus infinity (masked scores): e is 0 at both.
    return torch.where(upper == -math.inf, torch.zeros_like(ratio), upper.exp() * ratio)


def exp(call: Call, x: Tensor, b: Tensor) -> Tensor:
    """See :func:`exp_secant`."""
    return exp_secant(x, b)


CLOSED_SECANTS: dict[str, Callable[[Call, Tensor, Tensor], Tensor]] = {
    "exp": exp,
    "leaky_relu": leaky_relu,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
}
