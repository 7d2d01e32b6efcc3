"""Directional derivatives of any order of a game's extension v(w), exact, by nested forward mode.

A function here takes player weights ``[batch, n_points, n_players]`` and returns
``[batch, n_points]``, every point on its own. Nesting k levels of forward mode costs 2^k forward
passes: the orders in use are small (4 by default), and no step size is involved.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = [
    "Function",
    "gradients",
    "hessian_rows",
    "jet_gradients",
    "mixed_derivative",
    "taylor_coefficients",
]

Function = Callable[[Tensor], Tensor]

_T = TypeVar("_T")


def mixed_derivative(function: Function, point: Tensor, directions: Sequence[Tensor]) -> Tensor:
    """Return ``D_d1 ... D_dk v(point)``, one derivative per point.

    Parameters
    ----------
    function : callable
        ``[batch, n_points, n_players] -> [batch, n_points]``.
    point : Tensor, shape [batch, n_points, n_players]
        Where to differentiate.
    directions : sequence of Tensor, shape [batch, n_points, n_players] each
        One direction for each order, of its own at every point.

    Returns
    -------
    Tensor, shape [batch, n_points]
    """

    def forward() -> Tensor:
        nested = function
        for direction in directions:
            nested = _along(nested, direction)
        return nested(point).detach()

    def reverse() -> Tensor:
        with torch.enable_grad():
            at = point.detach().requires_grad_()
            value = function(at)
            for direction in directions:
                value = _reverse_along(value, at, direction)
        return value.detach()

    return _first_that_works(forward, reverse)


def taylor_coefficients(
    function: Function, point: Tensor, direction: Tensor, order: int
) -> Tensor:  # [order + 1, batch, n_points]
    """Return the Taylor coefficients of ``t -> v(point + t * direction)`` at 0, orders 0..order.

    Coefficient k is ``sum over |kappa| = k of T(kappa)`` when v starts at ``point``.
    """

    def forward() -> Tensor:
        return torch.stack([value.detach() for value in _jet(function, direction, order)(point)])

    def reverse() -> Tensor:
        with torch.enable_grad():
            at = point.detach().requires_grad_()
            values = [function(at)]
            for _ in range(order):
                values.append(_reverse_along(values[-1], at, direction))
        return torch.stack([value.detach() for value in values])

    derivatives = _first_that_works(forward, reverse)
    factorials = [float(math.factorial(k)) for k in range(order + 1)]
    scale = torch.tensor(factorials, dtype=derivatives.dtype, device=derivatives.device)
    return derivatives / scale[:, None, None]


def jet_gradients(
    function: Function, point: Tensor, direction: Tensor, order: int
) -> tuple[Tensor, Tensor]:
    """Return the Taylor coefficients and their gradients with respect to ``direction``.

    ``direction_i * d c_k / d direction_i = sum over |kappa| = k of kappa_i T(kappa)``: one jet and
    one reverse pass per order give the moments of all players.

    Returns
    -------
    Tensor, shape [order + 1, batch, n_points]
        The coefficients c_k.
    Tensor, shape [order + 1, batch, n_points, n_players]
        Their gradients; 0 for order 0.
    """

    def forward() -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            along = direction.detach().requires_grad_()
            values = _jet(function, along, order)(point)
        return _collect(list(values), along)

    def reverse() -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            along = direction.detach().requires_grad_()
            at = point.detach().requires_grad_()
            values = [function(at)]
            for _ in range(order):
                values.append(_reverse_along(values[-1], at, along))
        return _collect(values, along)

    def _collect(values: list[Tensor], along: Tensor) -> tuple[Tensor, Tensor]:
        gradients_of = [_gradient(value, along, retain=True) for value in values]
        return torch.stack([value.detach() for value in values]), torch.stack(gradients_of)

    values, slopes = _first_that_works(forward, reverse)
    factorials = [float(math.factorial(k)) for k in range(order + 1)]
    scale = torch.tensor(factorials, dtype=values.dtype, device=values.device)
    return values / scale[:, None, None], slopes / scale[:, None, None, None]


def gradients(function: Function, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return v ``[batch, n_points]`` and its gradient ``[batch, n_points, n_players]``."""
    with torch.enable_grad(), _differentiable_kernels():
        at = point.detach().requires_grad_()
        value = function(at)
        return value.detach(), _gradient(value, at)


def hessian_rows(function: Function, point: Tensor, direction: Tensor) -> Tensor:
    """Return ``H(point) @ direction``, shape [batch, n_points, n_players]: one row per point.

    Forward over reverse costs three to four forward passes.
    """

    def forward() -> Tensor:
        with torch.enable_grad():
            at = point.detach().requires_grad_()
            return _gradient(_along(function, direction)(at), at)

    def reverse() -> Tensor:
        with torch.enable_grad():
            at = point.detach().requires_grad_()
            return _gradient(_reverse_along(function(at), at, direction), at)

    return _first_that_works(forward, reverse)


def _along(function: Function, direction: Tensor) -> Function:
    def derivative(point: Tensor) -> Tensor:
        tangent: Tensor = torch.func.jvp(function, (point,), (direction,))[1]
        return tangent

    return derivative


def _jet(
    function: Function, direction: Tensor, order: int
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return the function that gives v and its first ``order`` derivatives along ``direction``."""

    def level(lower: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
        def raised(point: Tensor) -> tuple[Tensor, ...]:
            found = torch.func.jvp(lower, (point,), (direction,))
            return (*found[0], found[1][-1])

        return raised

    def lowest(point: Tensor) -> tuple[Tensor, ...]:
        return (function(point),)

    nested: Callable[[Tensor], tuple[Tensor, ...]] = lowest
    for _ in range(order):
        nested = level(nested)
    return nested


def _reverse_along(value: Tensor, at: Tensor, direction: Tensor) -> Tensor:
    """Directional derivative by reverse mode, with its graph kept."""
    if not value.requires_grad:  # v does not depend on the point any more
        return torch.zeros_like(value)
    (slope,) = torch.autograd.grad(
        value, at, torch.ones_like(value), create_graph=True, allow_unused=True
    )
    if slope is None:
        return torch.zeros_like(value)
    return (slope * direction).sum(-1)


def _gradient(value: Tensor, at: Tensor, retain: bool = False) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(at)
    (slope,) = torch.autograd.grad(
        value, at, torch.ones_like(value), retain_graph=retain, allow_unused=True
    )
    return torch.zeros_like(at) if slope is None else slope


def _first_that_works(forward: Callable[[], _T], reverse: Callable[[], _T]) -> _T:
    """Use forward mode, or reverse mode where an operation of the model has no forward rule."""
    with _differentiable_kernels():
        try:
            return forward()
        except (NotImplementedError, RuntimeError) as error:
            # The latter of an autograd.Function that saves for backward as it runs forward.
            if not any(each in str(error).lower() for each in ("forward", "setup_context")):
                raise
        return reverse()


@contextmanager
def _differentiable_kernels() -> Iterator[None]:
    """Choose attention and recurrent kernels that have derivatives of every order."""
    with (
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.cudnn.flags(enabled=False),
        warnings.catch_warnings(),
    ):
        # torch warns about its own use of torch.jit when forward mode is first used.
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
        yield
