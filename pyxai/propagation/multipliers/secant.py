"""The slope of a function between its values at the baseline and at the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.multipliers.closed_secants import CLOSED_SECANTS
from pyxai.propagation.multipliers.infinities import cut
from pyxai.tracing import Call

__all__ = ["accumulation_dtype", "elementwise_secant", "eps_of", "pair", "secant", "values_at"]


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return float64 for float64 and float32 for all smaller types."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def eps_of(call: Call) -> float:
    """Return the step below which an operand counts as not moving."""
    return float(call.options.get("eps", 1e-10))


def pair(call: Call, name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return an operand at the input and at the baseline, in the dtype of the multipliers."""
    return call.get(name, 0).to(dtype), call.get(name, 1).to(dtype)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def values_at(call: Call, dtype: torch.dtype, **replaced: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    """Return an op's value at the input and at the baseline, computed anew from operands."""
    results = []
    for run in (0, 1):
        arguments = {name: _cast(value, dtype) for name, value in call.arguments(run).items()}
        arguments.update({name: values[run] for name, values in replaced.items()})
        results.append(call.apply(run, **arguments))
    return results[0], results[1]


def secant(
    x: Tensor,
    b: Tensor,
    y_x: Tensor,
    y_b: Tensor,
    slope: Callable[[Tensor], Tensor],
    eps: float,
) -> Tensor:
    """Return ``(f(x) - f(b)) / (x - b)``, and the derivative where that is all rounding.

    Parameters
    ----------
    x, b : Tensor
        Points.
    y_x, y_b : Tensor, same shape
        Values of the function there.
    slope : callable
        Derivative of the function, taken at the middle of the two points.
    eps : float
        Steps below this count as none, as in captum.

    Notes
    -----
    The derivative stands in wherever it explains the difference of the values to within their
    rounding: the product with ``x - b`` is then equally exact and the multiplier itself better.
    Elsewhere the quotient is used, so that completeness never depends on how smooth ``f`` is.
    """
    step, rise = x - b, y_x - y_b
    derivative = slope((x + b) / 2)
    # Infinitely steep where nothing moves (the root at 0): nothing is shared, rather than 0 * inf.
    derivative = torch.where((x == b) & derivative.isinf(), torch.zeros_like(x), derivative)
    rounding = 4 * torch.finfo(x.dtype).eps * (y_x.abs() + y_b.abs())
    still = (x == b) | (step.abs() < eps)
    # Not where the rise is infinite, and rounding too.
    use_derivative = still | ((rise - derivative * step).abs() < rounding)
    quotient = rise / torch.where(still, torch.ones_like(step), step)
    return torch.where(use_derivative, derivative, quotient)


def elementwise_secant(
    call: Call,
    name: str,
    dtype: torch.dtype,
    eps: float,
    others: dict[str, Any] | None = None,
    ends: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the secant of an elementwise op in one operand, in the shape of the op's value.

    Parameters
    ----------
    call : Call
        The op.
    name : str
        Operand that moves.
    dtype : torch.dtype
        In which to compute.
    eps : float
        See :func:`secant`.
    others : dict, optional
        Values of operands that stay, instead of the model's own.
    ends : pair of Tensor, optional
        Where the operand moves to and from; by default its values at the input and the baseline.
    """
    x, b = pair(call, name, dtype) if ends is None else ends
    closed = CLOSED_SECANTS.get(call.node.op)
    if closed is not None:
        return closed(call, x, b)
    fixed = {
        key: _cast(value, dtype)
        for key, value in {**call.arguments(0), **(others or {})}.items()
        if key != name
    }
    y_x, y_b = _evaluate(call, {**fixed, name: x}), _evaluate(call, {**fixed, name: b})
    shape = y_x.shape
    x, b = x.expand(shape), b.expand(shape)
    # Truth values and whole numbers are step functions.
    discrete = not y_x.is_floating_point()
    y_x, y_b = y_x.to(dtype), y_b.to(dtype)
    if call.options.get("cut"):
        y_x, y_b = cut((y_x, y_b))

    def slope(middle: Tensor) -> Tensor:
        if discrete:
            return torch.zeros_like(middle)
        return derivative_of(call, middle, name, fixed)

    return secant(x, b, y_x, y_b, slope, eps)


def derivative_of(call: Call, point: Tensor, name: str, fixed: dict[str, Any]) -> Tensor:
    """Differentiate an elementwise op in one operand at ``point``."""
    ones: Any = torch.ones_like(point)
    if call.node.op in MULTIPLE:
        ones = [ones]
    moved: dict[str, Any] = {**fixed, name: point}
    result: Tensor = call.vjp(ones, wrt=(name,), **moved)[name]
    return result


def _as_given(call: Call, name: str, value: Any) -> Any:
    given = call[name]
    return value.to(given.dtype) if isinstance(given, Tensor) else value


# Ops that return further tensors for their own backward.
MULTIPLE = frozenset({"log_sigmoid_forward"})


def _evaluate(call: Call, arguments: dict[str, Any]) -> Tensor:
    if call.node.op.startswith("bitwise_"):  # of truth values and whole numbers
        arguments = {name: _as_given(call, name, value) for name, value in arguments.items()}
    value = call.apply(0, **arguments)
    first: Tensor = value[0] if isinstance(value, (tuple, list)) else value
    return first
