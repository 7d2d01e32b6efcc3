"""Absent features are drawn from a mixture of normal distributions, given the present ones."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_number, check_real, check_shape, check_tensor
from pyxai._extras import optional
from pyxai._inputs import flat_features, format_background
from pyxai.imputers.conditions import conditions
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.mixtures.mixture import Mixture
from pyxai.imputers.mixtures.scores import quadratic_scores

__all__ = ["GaussianMixture"]


class GaussianMixture(Mixture):
    r"""Draw absent features from a mixture of normal distributions given the present ones.

    With diagonal covariances ``r_c(x_p) ~ w_c prod over present d of N(x_d; m_cd, s_cd^2)``, a
    component is drawn by r and ``u_d ~ N(m_cd, s_cd^2)``. With full ones
    ``r_c(x_p) ~ w_c N(x_p; m_p, C_pp)`` and ``u ~ N(m_a + C_ap C_pp^-1 (x_p - m_p),
    C_aa - C_ap C_pp^-1 C_pa)``.

    Parameters
    ----------
    n_components : int
        How many normal distributions.
    covariance : str
        ``"diagonal"`` or ``"full"``.
    n_draws : int
        Draws for each example and mask.
    values : str
        What a drawn component gives: ``"draws"`` from it, its (conditional) ``"mean"``, or
        ``"rows"`` of the data, n with probability ``r_c(x_n) / sum over n' of r_c(x_n')``.
    n_rows : int
        With ``values="rows"``: how many rows of the data are kept to draw from, at random.
    floor : float
        Added to every variance in the fit, in squared input units. Pixels that hardly vary would
        else decide alone which component is drawn.
    seed : int
        Of the fit and of the rows that are kept.
    **options
        Further arguments of ``sklearn.mixture.GaussianMixture``.

    Raises
    ------
    ValueError
        If a number is out of range, or a word is not one of those above.

    Notes
    -----
    Diagonal: log-densities of all masks and components are three products of matrices. Full: one
    factorisation, features^3 / 3 operations, for each mask and component, and one more for each
    component that a mask draws; draws are moved by Matheron's rule as those of `Gaussian`. Numbers
    that decide on components are float64. `fit` needs scikit-learn; `from_parameters` does not.

    References
    ----------
    .. [1] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023 (imputation by a mixture, and by rows of its components).
    .. [2] A. G. Journel, C. J. Huijbregts, "Mining Geostatistics", 1978 (Matheron's rule).

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import GaussianMixture
    >>> imputer = GaussianMixture.from_parameters(
    ...     torch.tensor([0.5, 0.5]), torch.tensor([[-3.0, 0.0], [3.0, 1.0]]), torch.ones(2, 2)
    ... )
    >>> imputer.responsibilities(torch.tensor([[3.0, 0.0]]), torch.tensor([[[True, False]]]))
    tensor([[[1.5230e-08, 1.0000e+00]]], dtype=torch.float64)
    """

    _learnt: ClassVar[tuple[str, ...]] = (*Mixture._learnt, "_means", "_covariances", "_roots")
    _means: Tensor  # [n_components, features]
    _covariances: Tensor  # [n_components, features] or [n_components, features, features]
    _roots: Tensor  # of the same shape: standard deviations, or lower factors

    def __init__(
        self,
        n_components: int = 50,
        covariance: str = "diagonal",
        *,
        n_draws: int = 1,
        values: str = "draws",
        n_rows: int = 1000,
        floor: float = 1e-3,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(n_components, n_draws=n_draws, values=values, n_rows=n_rows, seed=seed)
        self.covariance = check_choice("covariance", covariance, ("diagonal", "full"))
        self.floor = check_number("floor", floor)
        if self.floor < 0:
            raise ValueError(f"floor must be at least 0, got {floor!r}")
        self.options = options

    @classmethod
    def from_parameters(
        cls,
        weights: Tensor,
        means: Any,
        covariances: Any,
        covariance: str = "diagonal",
        *,
        n_draws: int = 1,
        values: str = "draws",
    ) -> GaussianMixture:
        """Return a mixture that is known, such as that of a simulator.

        Parameters
        ----------
        weights : Tensor, shape [n_components]
            Positive; their sum is taken to be 1.
        means : Tensor or tuple of Tensor, shape [n_components, *feat] each
            In input units.
        covariances : Tensor or tuple of Tensor
            In squared input units: variances of the shape of the means; with ``covariance="full"``
            a tensor [n_components, features, features] over the features of all inputs.
        covariance, n_draws, values
            As for the class, without ``values="rows"``: there are no rows.

        Returns
        -------
        GaussianMixture
            As after `fit`.

        Raises
        ------
        ValueError
            If a shape does not fit, a weight or a variance is not positive, or a matrix is not
            positive definite.
        TypeError
            If an argument is not a tensor of real numbers.
        """
        centres = format_background(means, name="means")
        made = cls(len(centres[0]), covariance, n_draws=n_draws, values=values)
        if made.values == "rows":
            raise ValueError("values must be one of 'draws', 'mean', got 'rows'")
        check_shape("weights", check_tensor("weights", weights), [made.n_components])
        check_real("weights", weights)
        if not bool((weights > 0).all()):
            raise ValueError(f"weights must be positive, got {weights.tolist()}")
        flat = torch.cat([flat_features(centre) for centre in centres], 1).double()
        spread = format_background(covariances, name="covariances")
        if covariance == "diagonal":
            variances = torch.cat([flat_features(part) for part in spread], 1).double()
        else:
            variances = spread[0].double()
        wanted = flat.shape if covariance == "diagonal" else (*flat.shape, flat.shape[1])
        check_shape("covariances", variances, list(wanted))
        log_weights = (weights.double() / weights.double().sum()).log()
        made._set(log_weights, flat, variances)
        made.shapes = tuple(tuple(centre.shape[1:]) for centre in centres)
        return made

    def _fit_components(self, rows: Tensor) -> None:
        with optional("GaussianMixture.fit needs", "scikit-learn>=1.6", "imputers"):
            from sklearn.mixture import GaussianMixture as Model
        kind = "diag" if self.covariance == "diagonal" else "full"
        model = Model(
            self.n_components,
            covariance_type=kind,
            reg_covar=self.floor,
            random_state=self.seed,
            **self.options,
        ).fit(rows.cpu().numpy())
        found = (model.weights_, model.means_, model.covariances_)
        weights, means, covariances = (torch.from_numpy(each).to(rows) for each in found)
        self._set(weights.log(), means, covariances)

    def _set(self, log_weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        if self.covariance == "diagonal":
            if not bool((covariances > 0).all()):
                least = covariances.min().item()
                raise ValueError(f"covariances must be positive, got {least:g}")
            self._roots = covariances.sqrt()
        else:
            roots, failed = torch.linalg.cholesky_ex(covariances)
            if bool(failed.any()):
                bad = failed.nonzero().flatten().tolist()
                raise ValueError(f"covariances must be positive definite, got others at {bad}")
            self._roots = roots
        self._log_weights, self._means, self._covariances = log_weights, means, covariances

    def _cost(self, n_masks: int) -> int:
        if self.covariance == "diagonal":
            return super()._cost(n_masks)
        return n_masks * (self.n_components + (3 + self.n_draws) * self._n_features())

    def _missing_constant(self, present: Tensor) -> Tensor | float:
        if self.covariance == "full":
            return 0.0
        return -0.5 * math.log(2 * math.pi) * present.sum(2)

    def _posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, None]:
        if self.covariance == "diagonal":
            variances = self._covariances
            return quadratic_scores(
                flat, present, self._means, 1 / variances, variances.log()
            ), None
        batch, n_masks, _ = present.shape
        shared = bool((present == present[:1]).all())  # one system serves all rows
        systems = present[0] if shared else present.flatten(0, 1)
        values = flat.double().T.unsqueeze(0).expand(n_masks, -1, -1)
        if not shared:
            values = flat.double().repeat_interleave(n_masks, 0).unsqueeze(2)
        # [n_components, n_systems, n_columns]: masks and rows, or pairs of these
        scores = values.new_empty((self.n_components, len(systems), values.shape[2]))
        for number, (mean, matrix) in enumerate(zip(self._means, self._covariances, strict=True)):
            for part, given in conditions(matrix, systems):
                scores[number, part] = given.log_density(values[part] - mean[:, None])
        if shared:
            return scores.permute(2, 1, 0), None
        return scores.view(self.n_components, batch, n_masks).permute(1, 2, 0), None

    def _values(
        self,
        picked: Tensor,
        flat: Tensor,
        present: Tensor,
        numbers: Numbers,
        found: None,
        dtype: torch.dtype,
    ) -> Tensor:
        n_features = flat.shape[1]
        if self.covariance == "diagonal":
            drawn = self._means.to(dtype)[picked]
            if self.values == "draws":
                normal = numbers.normal((n_features,), 1, dtype)
                drawn.addcmul_(self._roots.to(dtype)[picked], normal.expand(drawn.shape))
            return drawn
        noise = self._means.new_zeros((*picked.shape, n_features))
        if self.values == "draws":
            noise = numbers.normal((n_features,), 1).expand(noise.shape)
        systems, noise = present.flatten(0, 1), noise.flatten(0, 1)
        chosen = picked.flatten(0, 1)
        values = flat.double().repeat_interleave(present.shape[1], 0)
        drawn = torch.empty_like(noise)
        for number in range(self.n_components):
            places = (chosen == number).nonzero()  # of a system and of a draw
            if len(places):
                self._move(number, places, systems, values, noise, drawn)
        return drawn.view(*picked.shape, n_features)

    def _move(
        self,
        number: int,
        places: Tensor,
        systems: Tensor,
        values: Tensor,
        noise: Tensor,
        drawn: Tensor,
    ) -> None:
        """Write draws of one component, for the places where it was picked."""
        rows: Tensor = torch.unique(places[:, 0])
        joint = self._means[number] + noise[rows] @ self._roots[number].T  # [rows, draws, features]
        for part, given in conditions(self._covariances[number], systems[rows]):
            gaps = (values[rows[part]].unsqueeze(1) - joint[part]).transpose(1, 2)
            joint[part] += given.moves(gaps).transpose(1, 2)
        drawn[places[:, 0], places[:, 1]] = joint[
            torch.searchsorted(rows, places[:, 0].contiguous()), places[:, 1]
        ]
