"""Shapley values from pairs of coalitions: interpolation of the game, for all rows at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._quadrature import legendre
from pyxai.attribution.coalitions.coalitions import CoalitionPairs

__all__ = ["MAX_PAIRS", "pair_process"]

MAX_PAIRS = 4096  # the matrix of all pairs against all pairs is factored once for each decay
# Nodes of a quadrature over [0, decay], in which the integrand is nearly exp(DECAYS): more change
# nothing.
MAX_NODES = 40
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
    # the generating function (1 + r)^p (1 - r)^(n - 1 - p), p being the members among the others.
    nodes, quadrature = legendre(min(n_players // 2 + 1, MAX_NODES))
    radius = torch.from_numpy(decay * nodes).to(signs)
    rule = torch.from_numpy(decay * quadrature).to(signs)
    grow, shrink = radius.log1p(), (-radius).log1p()

    def effect(others: Tensor) -> Tensor:  # [n_rows, 1], of a player with so many other members
        rest = n_players - 1 - others
        both = (others * grow + rest * shrink, rest * grow + others * shrink)
        return ((both[0] - scale).exp() + (both[1] - scale).exp()) @ rule[:, None]

    members = (signs > 0).sum(1, keepdim=True).double()
    # [n_rows, n_players], covariance of phi with an observation
    cross = torch.where(signs > 0, effect(members - 1), -effect(members))
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
        Whether to return standard errors.

    Returns
    -------
    values : Tensor, shape [batch, n_players]
        Each row sums to its total.
    errors : Tensor or None, shape [batch, n_players]
        Posterior standard deviations over all decays, each as likely as the row's differences make
        it. Their scale is the larger of that of the likelihood and that of the misses when each
        observation is predicted from the others [2]_, widened as Student's law is, so that 1.96 of
        them hold 95 %.

    References
    ----------
    .. [1] A. O'Hagan, "Bayes-Hermite quadrature", Journal of Statistical Planning and Inference 29,
       1991: the posterior mean of a linear functional of a Gaussian process.
    .. [2] S. Sundararajan, S. S. Keerthi, "Predictive Approaches for Choosing Hyperparameters in
       Gaussian Processes", Neural Computation 13(5), 2001, eq. 5.
    """
    device = differences.device
    n_players = pairs.masks.shape[1]
    signs = pairs.masks.to(device).double().mul_(2).sub_(1)
    signs = torch.cat([torch.ones(1, n_players, dtype=signs.dtype, device=device), signs])
    observed = torch.cat([totals[:, None], differences], 1) / 2  # [batch, n_pairs + 1]
    best = torch.full_like(totals, torch.inf)
    values = torch.zeros(totals.shape[0], n_players, dtype=torch.float64, device=device)
    found: list[tuple[Tensor, Tensor, Tensor]] = []  # misfit, values and variances of each decay
    for decay in DECAYS:
        if decay / n_players > 0.75:
            continue
        fit = _prior(signs, decay / n_players)
        white = torch.linalg.solve_triangular(fit.factor, observed.T, upper=False)
        scale = white.square().mean(0)  # [batch]
        # Minus twice the log marginal likelihood over the number of observations.
        misfit = scale.clamp(min=1e-300).log() + 2 * fit.factor.diagonal().log().mean()
        better, each = misfit < best, observed @ fit.weights
        best = torch.where(better, misfit, best)
        values = torch.where(better[:, None], each, values)
        if errors:
            scale = torch.maximum(scale, _scale_of_misses(fit.factor, white))
            found.append((misfit, each, scale[:, None] * fit.variance))
    spread = _spread(found, values, len(signs)) if errors else None
    # The jitter of the factor leaves 1e-9 of the total; what is missing goes to all alike.
    values += ((totals - values.sum(1)) / n_players)[:, None]
    return values, spread


def _scale_of_misses(factor: Tensor, white: Tensor) -> Tensor:
    """Return the mean squared miss, in prior variances, of predictions from the others; [batch]."""
    inverse = torch.linalg.solve_triangular(
        factor, torch.eye(len(factor), dtype=factor.dtype, device=factor.device), upper=False
    )
    misses: Tensor = (inverse.T @ white).square() / inverse.square().sum(0)[:, None]
    return misses.mean(0)


def _spread(
    found: list[tuple[Tensor, Tensor, Tensor]], values: Tensor, n_observations: int
) -> Tensor:
    """Return standard errors of ``values`` when every decay may be the right one."""
    misfits, means, variances = (torch.stack(parts) for parts in zip(*found, strict=True))
    weights = torch.softmax(-n_observations / 2 * misfits, 0).unsqueeze(-1)
    spread = (weights * (variances + (means - values).square())).sum(0).sqrt()
    return spread * (1 + (1.96**2 + 1) / (4 * n_observations))  # quantiles of Student and normal
