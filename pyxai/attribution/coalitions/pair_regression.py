"""Shapley values from pairs of coalitions: weighted least squares for all rows at once."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.attribution.coalitions.coalitions import CoalitionPairs

__all__ = ["pair_regression"]


def pair_regression(
    pairs: CoalitionPairs,
    differences: Tensor,  # [batch, n_pairs]
    totals: Tensor,  # [batch]
    *,
    errors: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Fit Shapley values to the values of pairs of coalitions.

    With ``s = +1`` for members and ``-1`` for the others, the weighted least squares problem of
    KernelSHAP over S and its complement is, up to a constant, ::

        minimise  sum_p weights[p] * (differences[p] - s[p] . phi) ** 2,  sum(phi) = total

    Writing ``phi = total / n + u`` with ``sum(u) = 0`` eliminates the constraint. The matrix of the
    normal equations is the same for all rows: one Cholesky factor, one product per batch.

    Parameters
    ----------
    pairs : CoalitionPairs
        Coalitions and weights, as `kernel_pairs` makes them.
    differences : Tensor, shape [batch, n_pairs]
        ``v(S) - v(complement of S)``, float64, in output units.
    totals : Tensor, shape [batch]
        ``v(all) - v(none)``, float64.
    errors : bool
        Whether to estimate standard errors.

    Returns
    -------
    values : Tensor, shape [batch, n_players]
        Each row sums to its total.
    errors : Tensor or None, shape [batch, n_players]
        Standard errors over the draw of the coalitions: the jackknife form of the sandwich
        estimator [2]_ (residuals over one minus leverage), times the share of a size that was not
        drawn. Zero where every coalition is in, infinite where whole sizes never had a chance.

    Raises
    ------
    ValueError
        If the coalitions do not determine the values.

    References
    ----------
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS
       2017, theorem 2.
    .. [2] J. MacKinnon, H. White, "Some heteroskedasticity-consistent covariance matrix estimators
       with improved finite sample properties", Journal of Econometrics 29, 1985 (HC3).
    """
    device = differences.device
    signs = pairs.masks.to(device).double().mul_(2).sub_(1)  # [n_pairs, n_players]
    weights, n_players = pairs.weights.to(device), signs.shape[1]
    mean = signs.mean(1, keepdim=True)
    centred = signs - mean
    weighted = centred * weights[:, None]
    gram = centred.T @ weighted
    # The centred system leaves the direction of ones free; a term along it makes it definite.
    gram += gram.diagonal().mean() / n_players
    factor, info = torch.linalg.cholesky_ex(gram)
    spread = factor.diagonal()
    if bool(info) or bool(spread.min() < 1e-7 * spread.max()):
        raise ValueError(
            f"n_samples must let the coalitions determine all {n_players} players, "
            f"got only {signs.shape[0]} pairs of coalitions; 2 * n_players always do"
        )
    rest = differences - totals[:, None] * mean.T
    solution = torch.cholesky_solve((rest @ weighted).T, factor).T
    centred_solution = solution - solution.mean(1, keepdim=True)
    values = centred_solution + totals[:, None] / n_players
    if not errors:
        return values, None
    if not pairs.complete:
        return values, torch.full_like(values, torch.inf)
    influence = torch.cholesky_solve(weighted.T, factor)  # [n_players, n_pairs]
    influence -= influence.mean(0)
    leverage = (influence * centred.T).sum(0).clamp(max=1 - 1e-6)
    residuals = (rest - centred_solution @ centred.T) / (1 - leverage)
    missing = (1 - pairs.fractions.to(device)).clamp(min=0)
    return values, (residuals.square() @ (influence.square() * missing).T).sqrt()
