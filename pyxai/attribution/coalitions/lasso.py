"""Weighted Lasso for many rows at once, from their normal equations."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai.attribution.coalitions.dual_newton import determined_factor, dual_newton, optimality_gap

__all__ = ["lasso_errors", "weighted_lasso"]

ROUNDS = 4
STEPS = 50  # gradient steps a round
NEAR = 1e-7  # relative slopes up to which coefficients count as optimal
ELEMENTS = 2**22  # of a design that is centred and weighed at once


def weighted_lasso(
    design: Tensor,  # [n_samples, n_features] or [batch, n_samples, n_features]
    outputs: Tensor,  # [batch, n_samples]
    weights: Tensor,  # [batch, n_samples]
    alpha: float,
) -> Tensor:
    """Fit one sparse linear model with intercept per row.

    ``minimise  1/(2 sum(w)) sum_s w[s] (y[s] - c - design[s] . beta) ** 2 + alpha |beta|_1``,
    scikit-learn's ``Lasso`` with sample weights. Steps of the proximal gradient or of Newton's
    method find which coefficients are not zero; their values then come from a linear system, and
    are kept once the optimality conditions hold. Where several solutions are best, as for features
    that are always there together, these share alike.

    Parameters
    ----------
    design : Tensor, shape [n_samples, n_features] or [batch, n_samples, n_features]
        float64 or bool; without the batch dimension it is shared by all rows.
    outputs, weights : Tensor, shape [batch, n_samples]
        float64; weights are not negative and not all zero.
    alpha : float
        Weight of the penalty, not negative; at 0 the least squares solution needs
        ``n_samples > n_features``.

    Returns
    -------
    Tensor, shape [batch, n_features]
        Coefficients, float64.

    Warns
    -----
    PyxaiWarning
        If the optimality conditions are not met; the best coefficients found are returned.

    Notes
    -----
    With fewer samples than features nothing larger than the design is made for any row.
    """
    weights = weights / weights.sum(1, keepdim=True)
    mean_y = (weights * outputs).sum(1, keepdim=True)
    n_samples, n_features = design.shape[-2:]
    by_gram = n_features <= n_samples
    mean_x, cross, second = _sums(design, outputs, weights, by_gram)
    if by_gram:
        gram = second - mean_x[:, :, None] * mean_x[:, None, :]
        beta, gap = _by_gram(gram, cross - mean_x * mean_y, alpha)
    else:
        parts = []
        step = max(1, ELEMENTS // (n_samples * n_features))
        for first in range(0, len(outputs), step):
            rows = slice(first, first + step)
            shared = design.dim() == 2
            centred = (design if shared else design[rows]).double() - mean_x[rows, None]
            root = weights[rows].sqrt()
            aims = (outputs[rows] - mean_y[rows]) * root
            parts.append(dual_newton(centred * root.unsqueeze(-1), aims, alpha))
        beta, gap = (torch.cat(part) for part in zip(*parts, strict=True))
    missed = gap > NEAR
    if bool(missed.any()):
        warn(
            f"the Lasso with alpha={alpha:g} is not at its optimum for {int(missed.sum())} row(s): "
            f"a slope is off by {float(gap.max()):.1e} of the largest; the best coefficients found "
            "are returned"
        )
    return beta


def _sums(
    design: Tensor, outputs: Tensor, weights: Tensor, with_squares: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return weighted sums over samples of ``x``, ``x y`` and, if asked for, ``x x^T``, by row."""
    batch, n_features = len(outputs), design.shape[-1]
    first, cross = (outputs.new_zeros(batch, n_features) for _ in range(2))
    second = outputs.new_zeros((batch, n_features, n_features) if with_squares else 0)
    step = max(1, ELEMENTS // max(1, batch * n_features))
    for start in range(0, design.shape[-2], step):
        samples = slice(start, start + step)
        part, weight = design[..., samples, :].double(), weights[:, samples]
        mass = weight * outputs[:, samples]
        if part.dim() == 2:
            first += weight @ part
            cross += mass @ part
        else:
            first += (weight.unsqueeze(1) @ part).squeeze(1)
            cross += (mass.unsqueeze(1) @ part).squeeze(1)
        if with_squares:
            second += (weight.unsqueeze(-1) * part).transpose(1, 2) @ part
    return first, cross, second


def _by_gram(gram: Tensor, cross: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Minimise ``beta G beta / 2 - cross beta + alpha |beta|_1`` for every row.

    Most rows are done after some gradient steps; the others take Newton's method on a square root
    of G.
    """
    beta, open_rows = _solve(gram, cross, alpha)
    gap = torch.zeros_like(cross[:, 0])
    if bool(open_rows.any()):
        values, vectors = torch.linalg.eigh(gram[open_rows])
        roots = values.clamp(min=1e-14 * values[:, -1:]).sqrt().unsqueeze(-1)
        design = roots * vectors.transpose(1, 2)
        aims = (vectors.transpose(1, 2) @ cross[open_rows].unsqueeze(-1) / roots).squeeze(-1)
        beta[open_rows], gap[open_rows] = dual_newton(design, aims, alpha)
    return beta, gap


def _solve(gram: Tensor, cross: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Take accelerated gradient steps; return coefficients, and the rows that have none yet."""
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
        polished, determined = _polish(gram, cross, alpha, beta)
        fits = open_rows & determined & _optimal(gram, cross, alpha, polished, tolerance)
        result = torch.where(fits[:, None], polished, result)
        open_rows &= ~fits
        if not bool(open_rows.any()):
            break
    return result, open_rows


def _polish(gram: Tensor, cross: Tensor, alpha: float, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for the coefficients that are not zero, given their signs, and say which rows let it.

    Features that are alike do not; the solution would depend on rounding.
    """
    active = (beta != 0).to(gram.dtype)
    system = gram * active[:, :, None] * active[:, None, :] + torch.diag_embed(1 - active)
    factor, determined = determined_factor(system)
    right = active * (cross - alpha * beta.sign())
    return torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1), determined


def _optimal(gram: Tensor, cross: Tensor, alpha: float, beta: Tensor, tolerance: Tensor) -> Tensor:
    """Say which rows meet the optimality conditions of the Lasso."""
    slopes = cross - torch.einsum("bij,bj->bi", gram, beta)
    return optimality_gap(slopes, beta, alpha) <= tolerance[:, 0]


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
