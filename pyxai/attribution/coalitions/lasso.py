"""Weighted Lasso for many rows at once, from their normal equations."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["lasso_errors", "weighted_lasso"]

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


def lasso_errors(
    design: Tensor, outputs: Tensor, weights: Tensor, coefficients: Tensor
) -> Tensor:  # float64 [batch, n_features]
    """Return standard errors over the choice of samples, of each coefficient by itself.

    They are those of the coefficient before the penalty moves it towards 0, the others held: a
    sandwich estimate from residuals, times ``n / (n - number of coefficients)`` as a jackknife
    would have it. What the penalty does, a soft threshold, never makes the coefficients of two sets
    of samples differ by more, so the error is an upper bound; a refit would report 0 for a
    coefficient that it keeps at 0.

    Parameters
    ----------
    design, outputs, weights : Tensor
        As given to `weighted_lasso`; samples 2k and 2k + 1 may depend on each other.
    coefficients : Tensor, shape [batch, n_features]
        What it returned.

    Returns
    -------
    Tensor, shape [batch, n_features]
        Infinite where a feature is the same in all samples, or there are no more pairs of samples
        than coefficients.

    References
    ----------
    .. [1] H. White, "A Heteroskedasticity-Consistent Covariance Matrix Estimator and a Direct Test
       for Heteroskedasticity", Econometrica 48(4), 1980, eq. 2.
    """
    rows = [
        _errors(design if design.dim() == 2 else design[row], outputs[row], weights[row], each)
        for row, each in enumerate(coefficients)
    ]
    return torch.stack(rows)


def _errors(design: Tensor, outputs: Tensor, weights: Tensor, coefficients: Tensor) -> Tensor:
    weights = weights / weights.sum()
    centred = design - weights @ design  # [n_samples, n_features]
    residuals = outputs - weights @ outputs - centred @ coefficients
    scores = centred * (weights * residuals)[:, None]
    if len(scores) % 2:
        scores = torch.cat([scores, torch.zeros_like(scores[:1])])
    pairs = scores[0::2] + scores[1::2]
    free = len(pairs) - 1 - int((coefficients != 0).sum())
    spread = weights @ centred.square()
    if free < 1:
        return torch.full_like(spread, torch.inf)
    errors = pairs.square().sum(0).sqrt_().mul_(len(pairs) / free).div_(spread)
    return torch.where(spread > 0, errors, torch.inf)
