"""Rules for an integral over [0, 1]: nodes and weights in float64."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int

__all__ = ["RULES", "nodes_and_weights"]

RULES = (
    "gausslegendre",
    "midpoint",
    "riemann_left",
    "riemann_middle",
    "riemann_right",
    "riemann_trapezoid",
)


def nodes_and_weights(rule: str, n_nodes: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of a quadrature rule on [0, 1].

    Parameters
    ----------
    rule : str
        One of `RULES`. ``"midpoint"`` is ``"riemann_middle"``.
    n_nodes : int
        At least 1; at least 2 for the trapezoid.

    Returns
    -------
    nodes, weights : Tensor, shape [n_nodes]
        float64. The weights sum to 1, so every rule is exact for a constant; the midpoint and the
        trapezoid are exact for polynomials of degree 1, Gauss-Legendre for degree 2 * n_nodes - 1.

    Raises
    ------
    ValueError
        If there is no such rule, or too few nodes.
    """
    check_choice("method", rule, RULES)
    check_int("n_steps", n_nodes, minimum=2 if rule == "riemann_trapezoid" else 1)
    nodes, weights = _computed(rule, n_nodes)
    return nodes.clone(), weights.clone()


# The nodes of Gauss-Legendre are the eigenvalues of a matrix: 0.5 ms for 50 of them, as long as
# some whole calls take.
@functools.lru_cache(maxsize=64)
def _computed(rule: str, n_nodes: int) -> tuple[Tensor, Tensor]:
    if rule == "gausslegendre":
        places, shares = np.polynomial.legendre.leggauss(n_nodes)  # on [-1, 1]
        return torch.from_numpy(0.5 * (1 + places)), torch.from_numpy(0.5 * shares)
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
