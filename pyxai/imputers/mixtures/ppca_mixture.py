"""Absent features are drawn from a mixture of probabilistic principal component analysers."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_number
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.mixtures.factors import FactorModel, FactorPosterior, fit_factors
from pyxai.imputers.mixtures.kmeans import cluster
from pyxai.imputers.mixtures.mixture import Mixture

__all__ = ["PPCAMixture"]


class PPCAMixture(Mixture):
    """Draw absent features from a mixture of low-rank normal distributions, given the present ones.

    In component c ``x = m_c + W_c t + e`` with ``t ~ N(0, I)`` of a few factors and
    ``e ~ N(0, diag(v_c))``. A component is drawn by ``w_c N(x_p; m_p, W_p W_p' + diag(v_p))``, then
    factors given the present features, ``t ~ N(S^-1 W_p' V_p^-1 (x_p - m_p), S^-1)`` with
    ``S = I + W_p' V_p^-1 W_p``, then ``u = m_a + W_a t + e_a``.

    Parameters
    ----------
    n_components : int
        How many components.
    n_factors : int
        Factors of each; below the number of features.
    noise : str
        ``"isotropic"``: one variance for all features of a component (probabilistic PCA);
        ``"diagonal"``: one for each (factor analysis).
    n_draws : int
        Draws for each example and mask.
    values : str
        ``"draws"``, or the conditional ``"mean"`` of the drawn component.
    floor : float
        Least variance v, in squared input units.
    n_steps : int
        Steps of the fit, by expectation-maximisation, at most.
    tolerance : float
        The fit ends when a step gains less than this, in nats for each row.
    seed : int
        Of the fit.

    Raises
    ------
    ValueError
        If a number is out of range, or a word is not one of those above.

    Notes
    -----
    `fit` takes rows with gaps: NaN stands for a value that is missing, and the likelihood is that
    of the values that are there. It starts from clusters, which scikit-learn finds. For a mask,
    densities of all components cost features x n_factors^2 multiplications each, as products of
    matrices, and a factorisation of n_factors^3 / 3.

    References
    ----------
    .. [1] M. E. Tipping, C. M. Bishop, "Mixtures of Probabilistic Principal Component Analyzers",
       Neural Computation 11(2), 1999.
    .. [2] A. Ilin, T. Raiko, "Practical Approaches to Principal Component Analysis in the Presence
       of Missing Values", JMLR 11, 2010.

    Examples
    --------
    >>> from pyxai.imputers import PPCAMixture
    >>> PPCAMixture(n_components=3, n_factors=2).noise
    'isotropic'
    """

    _learnt: ClassVar[tuple[str, ...]] = ("_log_weights", "_means", "_loadings", "_variances")
    _takes_gaps = True
    _means: Tensor
    _loadings: Tensor
    _variances: Tensor

    def __init__(
        self,
        n_components: int = 10,
        n_factors: int = 5,
        noise: str = "isotropic",
        *,
        n_draws: int = 1,
        values: str = "draws",
        floor: float = 1e-3,
        n_steps: int = 100,
        tolerance: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__(n_components, n_draws=n_draws, values=values, seed=seed)
        if self.values == "rows":
            raise ValueError("values must be one of 'draws', 'mean', got 'rows'")
        self.n_factors = check_int("n_factors", n_factors, minimum=1)
        self.noise = check_choice("noise", noise, ("isotropic", "diagonal"))
        self.floor = check_number("floor", floor)
        if self.floor <= 0:
            raise ValueError(f"floor must be positive, got {floor!r}")
        self.n_steps = check_int("n_steps", n_steps, minimum=1)
        self.tolerance = check_number("tolerance", tolerance)

    @property
    def _model(self) -> FactorModel:
        return FactorModel(self._log_weights, self._means, self._loadings, self._variances)

    def _fit_components(self, rows: Tensor) -> None:
        if self.n_factors >= rows.shape[1]:
            raise ValueError(
                f"n_factors must be below the {rows.shape[1]} features of data, "
                f"got {self.n_factors}"
            )
        known = ~rows.isnan()
        if not bool(known.any(0).all()):
            missing = (~known.any(0)).nonzero().flatten().tolist()
            raise ValueError(f"data must have a value in every feature, got none in {missing}")
        model, _ = fit_factors(
            rows,
            self._start(rows),
            isotropic=self.noise == "isotropic",
            floor=self.floor,
            n_steps=self.n_steps,
            tolerance=self.tolerance,
        )
        self._log_weights, self._means, self._loadings, self._variances = model

    def _start(self, rows: Tensor) -> FactorModel:
        """Return principal components of clusters, with gaps filled by means."""
        filled = torch.where(rows.isnan(), rows.nanmean(0), rows)
        centres, owners = cluster(filled, self.n_components, self.seed)
        counts = owners.bincount(minlength=self.n_components).double() + 1
        overall = filled.var(0, correction=0).mean().clamp(min=self.floor)
        loadings = rows.new_zeros((*centres.shape, self.n_factors))
        variances = overall.expand(centres.shape).clone()
        for number, centre in enumerate(centres):
            own = filled[owners == number] - centre
            if len(own) < 2:
                continue
            _, scales, axes = torch.linalg.svd(own, full_matrices=False)
            powers = scales.square() / len(own)
            left = powers[self.n_factors :].sum() / (rows.shape[1] - self.n_factors)
            variances[number] = left.clamp(min=self.floor)
            top = (powers[: self.n_factors] - left).clamp(min=0).sqrt()
            loadings[number, :, : len(top)] = axes[: self.n_factors].T * top
        # A loading of 0 would stay 0, as nothing tells its factor from another.
        generator = torch.Generator().manual_seed(self.seed)
        jitter = torch.randn(loadings.shape, generator=generator, dtype=torch.float64)
        loadings += 0.01 * overall.sqrt() * jitter.to(rows.device)
        return FactorModel((counts / counts.sum()).log(), centres, loadings, variances)

    def _cost(self, n_masks: int) -> int:
        own = n_masks * self.n_components * (self.n_factors + 1) ** 2
        return super()._cost(n_masks) + 2 * own

    def _missing_constant(self, present: Tensor) -> Tensor:
        return -0.5 * math.log(2 * math.pi) * present.sum(2)

    def _posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, FactorPosterior]:
        return self._model.posterior(flat, present)

    def _values(
        self,
        picked: Tensor,
        flat: Tensor,
        present: Tensor,
        numbers: Numbers,
        found: FactorPosterior,
        dtype: torch.dtype,
    ) -> Tensor:
        batch, n_masks, _ = picked.shape
        rows = torch.arange(batch * n_masks, device=flat.device).view(batch, n_masks, 1)
        roots = found.roots.flatten(0, 1)[rows, picked]
        white = found.whitened.flatten(0, 1)[rows, picked]
        if self.values == "draws":
            white = white + numbers.normal((self.n_factors,), 1)
        upper = roots.transpose(-1, -2)
        factors = torch.linalg.solve_triangular(upper, white.unsqueeze(-1), upper=True)[..., 0]
        drawn = torch.empty((*picked.shape, flat.shape[1]), dtype=dtype, device=flat.device)
        for number in range(self.n_components):
            places = picked == number
            spread = factors[places] @ self._loadings[number].T
            drawn[places] = (self._means[number] + spread).to(dtype)
        if self.values == "draws":
            normal = numbers.normal((flat.shape[1],), 2, dtype)
            drawn.addcmul_(self._variances.sqrt().to(dtype)[picked], normal.expand(drawn.shape))
        return drawn
