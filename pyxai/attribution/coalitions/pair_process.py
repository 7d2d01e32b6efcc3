"""Shapley values from pairs of coalitions: interpolation of the game, for all rows at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyxai.attribution.coalitions.coalitions import CoalitionPairs

__all__ = ["MAX_PAIRS", "pair_process"]

MAX_PAIRS = 4096  # the matrix of all pairs against all pairs is factored once for each decay
DECAYS = (0.01, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0)  # times 1 / n_players: from additive to rough games


class _Fit(NamedTuple):
    """One prior, conditioned on the coalitions; nothing here depends on the values."""

    factor: Tensor  # [n_pairs + 1, n_pairs + 1], Cholesky factor of the prior covariance
    weights: Tensor  # [n_pairs + 1, n_players], Shapley values = observations @ weights
    variance: Tensor  # [n_players], posterior variance for a prior of unit scale


def _prior(signs: Tensor, decay: float) -> _Fit:
    """Condition the prior of `pair_process` on ``signs``, float64 [n_rows, n_players]."""
    n_players = signs.shape[1]
    up, down = math.log1p(decay), math.log1p(-decay)
    scale = n_players * up  # keeps the largest covariance near 1/2
    apart = ((n_players - signs @ signs.T) / 2).round_()  # players on which two coalitions differ
    even = ((n_players - apart) * up + apart * down - scale).exp_()
    odd = (apart * up + (n_players - apart) * down - scale).exp_()
    covariance = (even - odd) / 2
    covariance.diagonal().mul_(1 + 1e-9)
    # sum over odd k of (2 / k) decay^k K_{k-1} = 2 * integral over [0, decay] of the even part of
    # the generating function (1 + r)^p (1 - r)^(n - 1 - p); Gauss-Legendre is exact for it.
    nodes, quadrature = np.polynomial.legendre.leggauss(n_players // 2 + 1)
    radius = torch.from_numpy(decay * (nodes + 1) / 2).to(signs)
    rule = torch.from_numpy(decay * quadrature / 2).to(signs)
    others = torch.arange(n_players, dtype=torch.float64, device=signs.device)[:, None]
    grow, shrink = radius.log1p(), (-radius).log1p()
    table = (others * grow + (n_players - 1 - others) * shrink - scale).exp()
    table = ((table + table.flip(0)) * rule).sum(1)  # [n_players], by members among the others
    members = (signs > 0).sum(1, keepdim=True) - (signs > 0).long()
    cross = signs * table[members]  # [n_rows, n_players], covariance of phi with an observation
    order = torch.arange(1, n_players + 1, 2, dtype=torch.float64, device=signs.device)
    log_count = (
        math.lgamma(n_players)
        - torch.lgamma(order)
        - torch.lgamma(n_players - order + 1)
        + order * math.log(decay)
    )
    prior = ((log_count - scale).exp() * 4 / order.square()).sum()
    factor = torch.linalg.cholesky(covariance)
    weights = torch.cholesky_solve(cross, factor)
    return _Fit(factor, weights, (prior - (cross * weights).sum(0)).clamp(min=0))


def pair_process(
    pairs: CoalitionPairs,
    differences: Tensor,  # [batch, n_pairs]
    totals: Tensor,  # [batch]
    *,
    errors: bool = True,
) -> tuple[Tensor, Tensor | None]:
    r"""Interpolate the game between the coalitions that were asked, and take its Shapley values.

    A game is a sum of Walsh functions, ``v(S) = sum_U c_U prod_{i in U} s_i``. Only odd orders
    matter to Shapley values, ``phi_i = sum_{U with i} 2 c_U / |U|``, and only they are left in the
    difference of a pair. The prior says that effects fade with their order,
    ``Var c_U = decay ** |U|``; the estimate is the posterior mean, for which the decay is chosen
    per row by marginal likelihood. Kernel regression takes everything but order 1 for noise; games
    with few high-order effects need several times fewer coalitions here.

    Parameters
    ----------
    pairs : CoalitionPairs
        Coalitions, as `kernel_pairs` makes them; the weights are not used. At most `MAX_PAIRS`.
    differences : Tensor, shape [batch, n_pairs]
        ``v(S) - v(complement of S)``, float64, in output units.
    totals : Tensor, shape [batch]
        ``v(all) - v(none)``, float64; a pair as any other, so that the values add up to it.
    errors : bool
        Whether to return posterior standard deviations.

    Returns
    -------
    values : Tensor, shape [batch, n_players]
        Each row sums to its total.
    errors : Tensor or None, shape [batch, n_players]
        Posterior standard deviations, their scale estimated from the row's own differences.

    References
    ----------
    .. [1] A. O'Hagan, "Bayes-Hermite quadrature", Journal of Statistical Planning and Inference 29,
       1991: the posterior mean of a linear functional of a Gaussian process.
    """
    device = differences.device
    n_players = pairs.masks.shape[1]
    signs = pairs.masks.to(device).double().mul_(2).sub_(1)
    signs = torch.cat([torch.ones(1, n_players, dtype=signs.dtype, device=device), signs])
    observed = torch.cat([totals[:, None], differences], 1) / 2  # [batch, n_pairs + 1]
    best = torch.full_like(totals, torch.inf)
    values = torch.zeros(totals.shape[0], n_players, dtype=torch.float64, device=device)
    spread = torch.zeros_like(values)
    for decay in DECAYS:
        if decay / n_players > 0.75:
            continue
        fit = _prior(signs, decay / n_players)
        white = torch.linalg.solve_triangular(fit.factor, observed.T, upper=False)
        fitted_scale = white.square().mean(0)  # [batch]
        # Minus twice the log marginal likelihood over the number of observations.
        misfit = fitted_scale.clamp(min=1e-300).log() + 2 * fit.factor.diagonal().log().mean()
        better = misfit < best
        best = torch.where(better, misfit, best)
        values = torch.where(better[:, None], observed @ fit.weights, values)
        spread = torch.where(better[:, None], fitted_scale[:, None] * fit.variance, spread)
    # The jitter of the factor leaves 1e-9 of the total; what is missing goes to all alike.
    values += ((totals - values.sum(1)) / n_players)[:, None]
    return values, spread.sqrt() if errors else None
