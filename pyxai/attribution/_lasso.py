"""Weighted Lasso for many rows at once, from their normal equations."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["weighted_lasso"]

ROUNDS = 60
STEPS = 50  # gradient steps a round


def weighted_lasso(
    design: Tensor,  # [n_samples, n_features] or [batch, n_samples, n_features]
    outputs: Tensor,  # [batch, n_samples]
    weights: Tensor,  # [batch, n_samples]
    alpha: float,
) -> Tensor:
    """Fit one sparse linear model with intercept per row.

    ``minimise  1/(2 sum(w)) sum_s w[s] (y[s] - c - design[s] . beta) ** 2 + alpha |beta|_1``,
    scikit-learn's ``Lasso`` with sample weights. Accelerated proximal steps find which coefficients
    are not zero; their values then come from a linear system, and are kept once the optimality
    conditions hold.

    Parameters
    ----------
    design : Tensor, shape [n_samples, n_features] or [batch, n_samples, n_features]
        float64; without the batch dimension it is shared by all rows.
    outputs, weights : Tensor, shape [batch, n_samples]
        float64; weights are not negative and not all zero.
    alpha : float
        Weight of the penalty, not negative; at 0 the least squares solution needs
        ``n_samples > n_features``.

    Returns
    -------
    Tensor, shape [batch, n_features]
        Coefficients, float64.

    Raises
    ------
    RuntimeError
        If the optimality conditions are not met after 3000 steps.
    """
    weights = weights / weights.sum(1, keepdim=True)
    mean_y = (weights * outputs).sum(1, keepdim=True)
    if design.dim() == 2:
        mean_x = weights @ design  # [batch, n_features]
        second = torch.einsum("bs,si,sj->bij", weights, design, design)
        cross = (weights * outputs) @ design
    else:
        mean_x = torch.einsum("bs,bsi->bi", weights, design)
        second = torch.einsum("bs,bsi,bsj->bij", weights, design, design)
        cross = torch.einsum("bs,bsi->bi", weights * outputs, design)
    gram = second - mean_x[:, :, None] * mean_x[:, None, :]
    return _solve(gram, cross - mean_x * mean_y, alpha)


def _solve(gram: Tensor, cross: Tensor, alpha: float) -> Tensor:
    """Minimise ``beta G beta / 2 - cross beta + alpha |beta|_1`` for every row."""
    # The 1-norm bounds the largest eigenvalue, so that every step descends.
    step = 1 / torch.linalg.matrix_norm(gram, ord=1).clamp(min=1e-300)[:, None]
    scale = cross.abs().amax(1, keepdim=True).clamp(min=1e-300)
    # Rounding of the gradient, which decides when the optimality conditions hold.
    tolerance = 1e-10 * (scale + alpha)
    beta = torch.zeros_like(cross)
    momentum, ahead = 1.0, beta
    result = torch.zeros_like(cross)
    open_rows = torch.ones_like(cross[:, 0], dtype=torch.bool)
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            gradient = torch.einsum("bij,bj->bi", gram, ahead) - cross
            moved = ahead - step * gradient
            fresh = moved.sign() * (moved.abs() - step * alpha).clamp(min=0)
            following = (1 + (1 + 4 * momentum * momentum) ** 0.5) / 2
            ahead = fresh + (momentum - 1) / following * (fresh - beta)
            beta, momentum = fresh, following
        polished = _polish(gram, cross, alpha, beta)
        fits = open_rows & _optimal(gram, cross, alpha, polished, tolerance)
        result = torch.where(fits[:, None], polished, result)
        open_rows &= ~fits
        if not bool(open_rows.any()):
            return result
    raise RuntimeError(
        f"Lasso with alpha={alpha} did not converge for {int(open_rows.sum())} row(s) "
        f"in {ROUNDS * STEPS} steps"
    )


def _polish(gram: Tensor, cross: Tensor, alpha: float, beta: Tensor) -> Tensor:
    """Solve for the coefficients that are not zero, given their signs."""
    active = (beta != 0).to(gram.dtype)
    system = gram * active[:, :, None] * active[:, None, :] + torch.diag_embed(1 - active)
    solution: Tensor = torch.linalg.solve_ex(system, active * (cross - alpha * beta.sign())).result
    return solution


def _optimal(gram: Tensor, cross: Tensor, alpha: float, beta: Tensor, tolerance: Tensor) -> Tensor:
    """Say which rows meet the optimality conditions of the Lasso."""
    slope = cross - torch.einsum("bij,bj->bi", gram, beta)
    inside = torch.where(beta == 0, slope.abs() - alpha, (slope - alpha * beta.sign()).abs())
    return (inside <= tolerance).all(1)
