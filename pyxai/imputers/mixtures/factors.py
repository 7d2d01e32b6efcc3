"""Mixtures of factor analysers: what present features say of factors, and EM for rows with gaps."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai.imputers.mixtures.scores import quadratic_scores

__all__ = ["FactorModel", "FactorPosterior", "fit_factors"]

_PRIOR = 1e-6  # weight of what loadings and means are where no row says anything


class FactorPosterior(NamedTuple):
    """What present features say of the factors, for each mask and component.

    Factors are ``L^-T (y + n)``, n standard normal; ``L L' = S``, their precision.
    """

    roots: Tensor  # L, [batch, n_masks, n_components, n_factors, n_factors]
    whitened: Tensor  # y, [batch, n_masks, n_components, n_factors]


class FactorModel(NamedTuple):
    """``x = m_c + W_c t + e``, t ~ N(0, I), e ~ N(0, diag(v_c)), in component c."""

    log_weights: Tensor  # [n_components]
    means: Tensor  # [n_components, features]
    loadings: Tensor  # W, [n_components, features, n_factors]
    variances: Tensor  # v, [n_components, features]

    def posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, FactorPosterior]:
        """Return log-densities of the present features and what they say of the factors.

        flat [batch, features], present [batch, n_masks, features], bool. Densities
        [batch, n_masks, n_components] are without weights and factors of 2 pi.
        """
        n_components, _, n_factors = self.loadings.shape
        precise = self.loadings / self.variances.unsqueeze(2)
        squares = torch.einsum("cdi,cdj->dcij", precise, self.loadings).flatten(1)
        shift = torch.einsum("cdi,cd->dci", precise, self.means).flatten(1)
        shape = (*present.shape[:2], n_components, n_factors)
        shown = present.flatten(0, 1).double()
        kept = torch.where(present, flat.unsqueeze(1).double(), 0.0).flatten(0, 1)
        system = (shown @ squares).view(*shape, n_factors)
        system = system + torch.eye(n_factors, dtype=torch.float64, device=flat.device)
        roots = torch.linalg.cholesky(system)
        pulls = (kept @ precise.permute(1, 0, 2).flatten(1) - shown @ shift).view(shape)
        whitened = torch.linalg.solve_triangular(roots, pulls.unsqueeze(-1), upper=False)[..., 0]
        scores = quadratic_scores(
            flat, present, self.means, 1 / self.variances, self.variances.log()
        )
        scores += 0.5 * whitened.square().sum(-1)
        scores -= roots.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return scores, FactorPosterior(roots, whitened)


def fit_factors(
    rows: Tensor,
    start: FactorModel,
    *,
    isotropic: bool,
    floor: float,
    n_steps: int,
    tolerance: float,
) -> tuple[FactorModel, list[float]]:
    """Fit by expectation-maximisation to the values that are there.

    Parameters
    ----------
    rows : Tensor, shape [rows, features]
        float64, NaN where a value is missing.
    start : FactorModel
        Where to start.
    isotropic : bool
        Whether the variances of a component are one number, as in probabilistic PCA.
    floor : float
        Least variance.
    n_steps : int
        At most so many steps.
    tolerance : float
        Stop when a step gains less than this, in nats for each row.

    Returns
    -------
    model : FactorModel
    gains : list of float
        Mean log-likelihood of a row before each step, in nats.

    References
    ----------
    .. [1] M. E. Tipping, C. M. Bishop, "Mixtures of Probabilistic Principal Component Analyzers",
       Neural Computation 11(2), 1999.
    .. [2] A. Ilin, T. Raiko, "Practical Approaches to Principal Component Analysis in the Presence
       of Missing Values", JMLR 11, 2010, section 4: sums over the values that are there.
    """
    present = ~rows.isnan()
    filled = torch.where(present, rows, 0.0)
    constant = -0.5 * math.log(2 * math.pi) * present.sum(1).double()
    usual = filled.sum(0) / present.sum(0)
    model, history = start, list[float]()
    for _ in range(n_steps):
        scores, found = model.posterior(filled, present.unsqueeze(1))
        joint = scores[:, 0] + model.log_weights
        history.append(float((joint.logsumexp(1) + constant).mean()))
        if len(history) > 1 and history[-1] - history[-2] < tolerance:
            break
        shares = joint.softmax(1)  # [rows, n_components]
        parts = [
            _component(
                filled,
                present.double(),
                shares[:, number],
                FactorPosterior(found.roots[:, 0, number], found.whitened[:, 0, number]),
                usual,
            )
            for number in range(shares.shape[1])
        ]
        means, loadings, errors, counts = (torch.stack(each) for each in zip(*parts, strict=True))
        if isotropic:
            variances = errors.sum(1, keepdim=True) / counts.sum(1, keepdim=True)
            variances = variances.expand_as(errors)
        else:
            variances = errors / counts.clamp(min=_PRIOR)
        log_weights = shares.mean(0).clamp(min=1e-12).log()
        model = FactorModel(log_weights, means, loadings, variances.clamp(min=floor).clone())
    return model, history


def _component(
    filled: Tensor,  # [rows, features], 0 where missing
    present: Tensor,  # the same shape, 0 or 1
    shares: Tensor,  # [rows]
    found: FactorPosterior,  # [rows, n_factors, n_factors] and [rows, n_factors]
    usual: Tensor,  # [features]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean, loadings, squared errors and counts of one component, for each feature.

    Each feature is regressed on the factors and on 1, over the rows that have it.
    """
    n_factors = found.whitened.shape[1]
    upper = found.roots.transpose(1, 2)
    factors = torch.linalg.solve_triangular(upper, found.whitened.unsqueeze(2), upper=True)[..., 0]
    inputs = torch.cat([factors, torch.ones_like(factors[:, :1])], 1)
    moments = inputs[:, :, None] * inputs[:, None, :]
    moments[:, :n_factors, :n_factors] += torch.cholesky_inverse(found.roots)
    weighted = present * shares[:, None]
    size = n_factors + 1
    left = (weighted.T @ moments.flatten(1)).view(-1, size, size)
    right = (weighted * filled).T @ inputs  # [features, size]
    prior = _PRIOR * torch.eye(size, dtype=torch.float64, device=filled.device)
    pulled = right.clone()
    pulled[:, -1] += _PRIOR * usual
    slopes = torch.linalg.solve(left + prior, pulled)
    squares = (weighted * filled.square()).sum(0)
    errors = squares - 2 * (slopes * right).sum(1)
    errors += torch.einsum("di,dij,dj->d", slopes, left, slopes)
    return slopes[:, -1], slopes[:, :-1], errors.clamp(min=0), weighted.sum(0)
