"""The Lasso on few rows and any number of columns: proximal points, each by Newton's method."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["determined_factor", "dual_newton", "optimality_gap"]

MAX_POINTS = 12  # proximal points, each with ten times the step of the one before
MAX_STEPS = 60  # of Newton's method for one of them; about five are needed
MAX_HALVINGS = 20
# Relative to the largest slope at 0; the last digits come from a linear system.
GOOD = 1e-10


def dual_newton(design: Tensor, outputs: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Minimise ``|outputs - design @ beta|^2 / 2 + alpha |beta|_1`` for every example.

    The proximal point method in beta; each of its problems is solved in the residuals, of which
    there are as many as rows, by a Newton method that ends after finitely many steps [1]_. Nothing
    of the size n_columns x n_columns is made. Where several solutions are best, columns that are
    alike share alike.

    Parameters
    ----------
    design : Tensor, shape [batch, n_rows, n_columns]
        float64.
    outputs : Tensor, shape [batch, n_rows]
        float64.
    alpha : float
        Not negative.

    Returns
    -------
    beta : Tensor, shape [batch, n_columns]
        The best found.
    gap : Tensor, shape [batch]
        How far it is from meeting the optimality conditions, relative to the largest slope at 0.

    References
    ----------
    .. [1] X. Li, D. Sun, K.-C. Toh, "A Highly Efficient Semismooth Newton Augmented Lagrangian
       Method for Solving Lasso Problems", SIAM Journal on Optimization 28(1), 2018.
    """
    columns = design.transpose(1, 2)
    cross = _times(columns, outputs)
    scale = (cross.abs().amax(1) + alpha).clamp(min=1e-300)
    spread = design.square().sum((1, 2)).clamp(min=1e-300) / min(design.shape[1:])
    step = 10 / spread[:, None]
    beta = best = torch.zeros_like(cross)
    gap = torch.full_like(scale, torch.inf)
    residuals, slopes = outputs, cross
    for _ in range(MAX_POINTS):
        beta = _next_point(design, outputs, alpha, step, beta, residuals, slopes)
        beta = torch.where(gap[:, None] <= GOOD, best, beta)  # what is done stays as it is
        residuals = outputs - _times(design, beta)
        slopes = _times(columns, residuals)
        found = optimality_gap(slopes, beta, alpha) / scale
        best = torch.where((found < gap)[:, None], beta, best)
        gap = torch.minimum(gap, found)
        if bool((gap <= GOOD).all()):
            break
        step = 10 * step
    return _polished(design, outputs, alpha, best, gap, scale)


def optimality_gap(slopes: Tensor, beta: Tensor, alpha: float) -> Tensor:
    """Return by how much the conditions of the Lasso's optimum are missed, [batch].

    ``slopes`` [batch, n_columns] are ``design^T (outputs - design @ beta)``.
    """
    misses = torch.where(beta == 0, slopes.abs() - alpha, (slopes - alpha * beta.sign()).abs())
    return misses.amax(1).clamp(min=0)


def determined_factor(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return Cholesky factors [..., n, n], and whether rounding leaves the solutions unique."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    left = factor.diagonal(dim1=-2, dim2=-1).square()
    kept = left > 1e-10 * matrix.diagonal(dim1=-2, dim2=-1)
    return factor, (info == 0) & kept.all(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _shrink(values: Tensor, threshold: Tensor) -> Tensor:
    return values.sign() * (values.abs() - threshold).clamp(min=0)


def _next_point(
    design: Tensor,
    outputs: Tensor,
    alpha: float,
    step: Tensor,  # [batch, 1]
    beta: Tensor,
    residuals: Tensor,  # where to start, [batch, n_rows]
    slopes: Tensor,  # design^T residuals
) -> Tensor:
    """Return the proximal point of ``beta``.

    It is ``S(beta + step design^T u)``, S shrinking by ``step alpha``, at the u that minimises
    ``|u|^2 / 2 - outputs . u + |S(beta + step design^T u)|^2 / (2 step)``.
    """
    threshold, signs = step * alpha, torch.zeros_like(beta)
    eye = torch.eye(design.shape[1], dtype=design.dtype, device=design.device)

    def height(place: Tensor, shrunk: Tensor) -> Tensor:
        inner = place.square().sum(1) / 2 - (outputs * place).sum(1)
        return (inner + shrunk.square().sum(1) / (2 * step[:, 0])).unsqueeze(1)

    settled = False
    for _ in range(MAX_STEPS):
        shrunk = _shrink(beta + step * slopes, threshold)
        before, signs = signs, shrunk.sign()
        if settled and torch.equal(before, signs):
            break  # a whole step within one quadratic piece ends at its minimum
        gradient = residuals - outputs + _times(design, shrunk)
        kept = signs.any(0)
        active = design[:, :, kept] * signs[:, None, kept]  # squared below
        hessian = eye + step[:, :, None] * (active @ active.transpose(1, 2))
        solved = torch.linalg.solve_ex(hessian, gradient.unsqueeze(-1)).result
        move = -solved.squeeze(-1)
        turn = _times(design.transpose(1, 2), move)
        fall = 1e-4 * (gradient * move).sum(1, keepdim=True)
        now = height(residuals, shrunk)
        length = torch.ones_like(step)
        for halving in range(MAX_HALVINGS):
            there = _shrink(beta + step * (slopes + length * turn), threshold)
            lower = height(residuals + length * move, there) <= now + length * fall
            lower |= (length * fall).abs() <= 1e-14 * now.abs()  # rounding decides
            settled = halving == 0
            if bool(lower.all()):
                break
            length = torch.where(lower, length, length / 2)
        residuals, slopes = residuals + length * move, slopes + length * turn
    return _shrink(beta + step * slopes, threshold)


def _polished(
    design: Tensor, outputs: Tensor, alpha: float, beta: Tensor, gap: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve for the coefficients that are not zero, given their signs, where that is better."""
    for row in range(len(beta)):
        active = beta[row].nonzero()[:, 0]
        if not 0 < len(active) <= design.shape[1]:
            continue
        part = design[row][:, active]
        right = part.T @ outputs[row] - alpha * beta[row, active].sign()
        factor, determined = determined_factor(part.T @ part)
        if not bool(determined):
            continue
        fresh = torch.zeros_like(beta[row])
        fresh[active] = torch.cholesky_solve(right[:, None], factor)[:, 0]
        slopes = design[row].T @ (outputs[row] - part @ fresh[active])
        found = optimality_gap(slopes[None], fresh[None], alpha)[0] / scale[row]
        if bool(found < gap[row]):
            beta[row], gap[row] = fresh, found
    return beta, gap
