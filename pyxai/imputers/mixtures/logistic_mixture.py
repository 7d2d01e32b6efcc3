"""Absent pixels are drawn from a mixture of logistic distributions over levels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.mixtures.kmeans import cluster
from pyxai.imputers.mixtures.logistic import fit_logistics, level_log_probabilities
from pyxai.imputers.mixtures.mixture import Mixture

__all__ = ["LogisticMixture"]


class LogisticMixture(Mixture):
    """Draw absent features from a mixture of discretised logistic distributions.

    For values on a grid of levels, such as grey values: in component c, feature d has level t with
    probability ``F((t + h - m_cd) / s_cd) - F((t - h - m_cd) / s_cd)``, F being the logistic
    function and h half a level; the outer levels have what lies beyond them. Features are
    independent within a component.

    Parameters
    ----------
    n_components : int
        How many components.
    low, high : float
        The first and the last level, in input units. Values beyond count as these.
    levels : int
        How many levels there are from ``low`` to ``high``. Draws are levels.
    n_draws : int
        Draws for each example and mask.
    values : str
        What a drawn component gives: ``"draws"`` from it, its ``"mean"`` m, or ``"rows"`` of the
        data, n with probability ``r_c(x_n) / sum over n' of r_c(x_n')``.
    n_rows : int
        With ``values="rows"``: how many rows of the data are kept to draw from, at random.
    epochs, batch_size, lr
        Of the fit, by Adam on the exact log-likelihood, from clusters of rows.
    seed : int
        Of the fit and of the rows that are kept.

    Raises
    ------
    ValueError
        If a number is out of range, or ``values`` is another word.

    Notes
    -----
    Log-probabilities of the features of an example are worked out once, n_components x features of
    them; those of all its masks are then one product of matrices. `fit` needs scikit-learn for the
    clusters.

    References
    ----------
    .. [1] T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, "PixelCNN++", ICLR 2017, section 2.1.
    .. [2] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023.

    Examples
    --------
    >>> from pyxai.imputers import LogisticMixture
    >>> LogisticMixture(20, low=0, high=16, levels=17).levels
    17
    """

    _learnt: ClassVar[tuple[str, ...]] = (*Mixture._learnt, "_means", "_log_scales")
    _means: Tensor  # [n_components, features], between -1 and 1
    _log_scales: Tensor

    def __init__(
        self,
        n_components: int = 20,
        *,
        low: float = 0.0,
        high: float = 1.0,
        levels: int = 256,
        n_draws: int = 1,
        values: str = "draws",
        n_rows: int = 1000,
        epochs: int = 10,
        batch_size: int = 64,
        lr: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__(n_components, n_draws=n_draws, values=values, n_rows=n_rows, seed=seed)
        self.low, self.high = check_number("low", low), check_number("high", high)
        if self.high <= self.low:
            raise ValueError(f"high must be above low = {self.low:g}, got {self.high:g}")
        self.levels = check_int("levels", levels, minimum=2)
        self.epochs = check_int("epochs", epochs, minimum=0)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.lr = check_number("lr", lr)
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, got {lr!r}")

    def _scaled(self, values: Tensor) -> Tensor:
        """Return the nearest levels, between -1 and 1."""
        steps = (values.double() - self.low) * ((self.levels - 1) / (self.high - self.low))
        return steps.round().clamp(0, self.levels - 1) * (2 / (self.levels - 1)) - 1

    def _unscaled(self, scaled: Tensor) -> Tensor:
        """Return the nearest levels in input units of values between -1 and 1."""
        steps = ((scaled + 1) * ((self.levels - 1) / 2)).round_().clamp_(0, self.levels - 1)
        return steps * ((self.high - self.low) / (self.levels - 1)) + self.low

    def _fit_components(self, rows: Tensor) -> None:
        scaled = self._scaled(rows).float()
        centres, owners = cluster(scaled, self.n_components, self.seed)
        self._log_weights, self._means, self._log_scales = fit_logistics(
            scaled,
            centres,
            owners,
            levels=self.levels,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            seed=self.seed,
        )

    def _cost(self, n_masks: int) -> int:
        return super()._cost(n_masks) + 6 * self.n_components * self._n_features()

    def _posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, None]:
        own = self._scaled(flat).unsqueeze(1)
        table = level_log_probabilities(own, self._means, self._log_scales, self.levels)
        return present.double() @ table.transpose(1, 2), None

    def _values(
        self,
        picked: Tensor,
        flat: Tensor,
        present: Tensor,
        numbers: Numbers,
        found: None,
        dtype: torch.dtype,
    ) -> Tensor:
        drawn = self._means.to(dtype)[picked]
        if self.values == "draws":
            uniform = numbers.uniform((flat.shape[1],), 1, dtype)
            tiny = torch.finfo(dtype).eps  # a number may be 0, whose logit is not finite
            logits = uniform.clamp_(tiny, 1 - tiny).logit_()
            drawn.addcmul_(self._log_scales.exp().to(dtype)[picked], logits.expand(drawn.shape))
        return self._unscaled(drawn)
