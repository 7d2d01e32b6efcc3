"""Rules for an integral over [0, 1]: nodes and weights in float64."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyxai._checks import check_choice, check_int

__all__ = ["RULES", "legendre", "nodes_and_weights"]

RULES = (
    "clenshawcurtis",
    "gausslegendre",
    "midpoint",
    "riemann_left",
    "riemann_middle",
    "riemann_right",
    "riemann_trapezoid",
)
_CLOSED = ("clenshawcurtis", "riemann_trapezoid")  # both ends are nodes


def nodes_and_weights(rule: str, n_nodes: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of a quadrature rule on [0, 1].

    Parameters
    ----------
    rule : str
        One of `RULES`. ``"midpoint"`` is ``"riemann_middle"``.
    n_nodes : int
        At least 1; at least 2 for the trapezoid and Clenshaw-Curtis.

    Returns
    -------
    nodes, weights : Tensor, shape [n_nodes]
        float64. The weights sum to 1, so every rule is exact for a constant; the midpoint and the
        trapezoid are exact for polynomials of degree 1, Gauss-Legendre for degree 2 * n_nodes - 1,
        Clenshaw-Curtis, whose nodes are among those of the rule of 2 * n_nodes - 1, for degree
        n_nodes - 1.
        The same tensors each time, not to be written to.

    Raises
    ------
    ValueError
        If there is no such rule, or too few nodes.

    Notes
    -----
    Cost: linear in ``n_nodes``.
    """
    check_choice("method", rule, RULES)
    check_int("n_steps", n_nodes, minimum=2 if rule in _CLOSED else 1)
    return _computed(rule, n_nodes)


# 50 nodes of Gauss-Legendre take 0.5 ms, as long as some whole calls.
@functools.lru_cache(maxsize=64)
def _computed(rule: str, n_nodes: int) -> tuple[Tensor, Tensor]:
    if rule == "gausslegendre":
        places, shares = legendre(n_nodes)
        return torch.from_numpy(places), torch.from_numpy(shares)
    if rule == "clenshawcurtis":
        return _clenshaw_curtis(n_nodes)
    steps = torch.arange(n_nodes, dtype=torch.float64)
    weights = torch.full((n_nodes,), 1 / n_nodes, dtype=torch.float64)
    if rule == "riemann_left":
        return steps / n_nodes, weights
    if rule == "riemann_right":
        return (steps + 1) / n_nodes, weights
    if rule == "riemann_trapezoid":
        # The spacing is 1 / (n_nodes - 1): captum 0.9.0 weighs by 1 / n_nodes, so its result is
        # too small by the factor (n_nodes - 1) / n_nodes.
        weights = torch.full((n_nodes,), 1 / (n_nodes - 1), dtype=torch.float64)
        weights[0] /= 2
        weights[-1] /= 2
        return steps / (n_nodes - 1), weights
    return (steps + 0.5) / n_nodes, weights


def _clenshaw_curtis(n_nodes: int) -> tuple[Tensor, Tensor]:
    """Return the rule that integrates the polynomial through the extrema of a Chebyshev polynomial.

    The weights are a cosine series in the node [1]_. Nodes are squared sines, so those that two
    rules share are the same to the last bit, and the upper half mirrors the lower.

    References
    ----------
    .. [1] J. Waldvogel, "Fast construction of the Fejer and Clenshaw-Curtis quadrature rules",
       BIT 46(1), 2006, section 2.
    """
    last = n_nodes - 1
    order = np.arange(n_nodes)
    angles = (math.pi / last) * np.minimum(order, last - order)
    low = np.sin(angles / 2) ** 2
    nodes = np.where(2 * order <= last, low, 1 - low)
    terms = np.arange(1, last // 2 + 1)
    factors = np.where(2 * terms == last, 1.0, 2.0) / (4.0 * terms**2 - 1)
    series = 1 - np.cos(2 * np.outer(angles, terms)) @ factors
    weights = series / last
    weights[[0, -1]] /= 2
    return torch.from_numpy(nodes), torch.from_numpy(weights)


Array = NDArray[Any]  # float64

# Up to so many nodes they are found as the eigenvalues of a matrix, which is cubic.
_BY_EIGENVALUES = 100
# Nodes at each end for which the expansion would need more terms, and terms it takes for the
# others: the first term left out is below 1e-22.
_RIM, _TERMS = 30, 14


def legendre(n_nodes: int) -> tuple[Array, Array]:
    """Return nodes (ascending) and weights of Gauss-Legendre on [0, 1], float64 [n_nodes].

    Newton's method for ``P_n(cos(angle)) = 0`` from an asymptotic guess, for all nodes at once:
    P_n by Stieltjes' expansion, next to the ends of the interval by recurrence [1]_.

    References
    ----------
    .. [1] N. Hale, A. Townsend, "Fast and accurate computation of Gauss-Legendre and Gauss-Jacobi
       quadrature nodes and weights", SIAM Journal on Scientific Computing 35(2), 2013, sections 2
       and 3.
    """
    if n_nodes <= _BY_EIGENVALUES:
        places, shares = np.polynomial.legendre.leggauss(n_nodes)  # on [-1, 1]
        return 0.5 * (1 + places), 0.5 * shares
    half = (n_nodes + 1) // 2
    guess = (4 * np.arange(1, half + 1) - 1) * (math.pi / (4 * n_nodes + 2))
    guess += 1 / (8 * (n_nodes + 0.5) ** 2 * np.tan(guess))
    angles, slopes = np.empty(half), np.empty(half)
    for part, value in ((slice(_RIM), _by_recurrence), (slice(_RIM, half), _by_expansion)):
        angle = guess[part]
        for _ in range(3):
            found, slope = value(n_nodes, angle)
            angle = angle - found / slope
        angles[part], slopes[part] = angle, value(n_nodes, angle)[1]
    low = np.sin(angles / 2) ** 2
    weights = 1 / slopes**2
    mirrored = slice(n_nodes // 2 - 1, None, -1)
    return (
        np.concatenate([low, 1 - low[mirrored]]),
        np.concatenate([weights, weights[mirrored]]),
    )


def _by_recurrence(n: int, angle: Array) -> tuple[Array, Array]:
    """Return ``P_n(cos(angle))`` and its derivative by the angle, for small angles.

    ``(k + 1) (P_{k+1} - P_k) = k (P_k - P_{k-1}) - (2 k + 1) (1 - cos) P_k`` keeps the digits of
    angles whose cosine rounds to 1.
    """
    short = 2 * np.sin(angle / 2) ** 2
    value, step = np.ones_like(angle), np.zeros_like(angle)
    for k in range(n):
        step = (k * step - (2 * k + 1) * short * value) / (k + 1)
        value = value + step
    return value, n / np.sin(angle) * (step - short * value)


def _by_expansion(n: int, angle: Array) -> tuple[Array, Array]:
    """Return ``P_n(cos(angle))`` and its derivative by the angle, for angles well inside.

    ``P_n = C sum_m h_m cos((n + m + 1/2) angle - (m + 1/2) pi/2) / (2 sin(angle))^(m + 1/2)``
    """
    twice, cot = 2 * np.sin(angle), 1 / np.tan(angle)
    value, slope = np.zeros_like(angle), np.zeros_like(angle)
    factor = 4 / math.pi * math.exp(math.fsum(np.log1p(-0.5 / (np.arange(1, n + 1) + 0.5))))
    scale = factor / np.sqrt(twice)
    for m in range(_TERMS):
        if m:
            scale = scale * ((m - 0.5) ** 2 / (m * (n + m + 0.5))) / twice
        phase = (n + m + 0.5) * angle - (m + 0.5) * (math.pi / 2)
        cosine = np.cos(phase)
        value += scale * cosine
        slope -= scale * ((n + m + 0.5) * np.sin(phase) + (m + 0.5) * cot * cosine)
    return value, slope
