"""Absent features take the values of background rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import format_background
from pyxai.imputers.base import Imputer
from pyxai.imputers.randomness import noise
from pyxai.imputers.rows import background_of

__all__ = ["Marginal"]


class Marginal(Imputer):
    """Replace absent features by those of rows from a background set.

    ``v(S) = mean over background rows r of f(x_S, r_notS)``

    Parameters
    ----------
    background : Tensor or tuple of Tensor, shape [n_background, *feat] each, or iterable of these
        Rows of the data distribution, in input units. All absent features of a row come from the
        same background row, also over a tuple of tensors. A tuple or a list has one entry for each
        input; any other iterable, such as a ``DataLoader``, gives batches, whose rows are kept, and
        which may have labels, as for `KMeans.fit`. NumPy arrays serve too.
    n_draws : int, optional
        Draw so many rows for each example, with replacement. Default: every background row is used
        once, without chance, and each value costs ``n_background`` model rows.

    Notes
    -----
    Breaks the dependence between present and absent features: the "interventional" expectation of
    SHAP [1]_.

    References
    ----------
    .. [1] D. Janzing, L. Minorics, P. Blöbaum, "Feature relevance quantification in explainable
       AI: A causal problem", AISTATS 2020, section 3.
    """

    def __init__(self, background: Any, n_draws: int | None = None) -> None:
        self.background = background_of(background)
        self._drawn = n_draws is not None
        self.exact = not self._drawn
        count = self.background[0].shape[0]
        self.n_draws = count if n_draws is None else check_int("n_draws", n_draws, minimum=1)

    def check(self, inputs: tuple[Tensor, ...]) -> Marginal:
        """Return an imputer whose background has the dtype of ``inputs``."""
        rows = format_background(self.background, inputs)
        return Marginal(rows, self.n_draws if self._drawn else None)

    def with_draws(self, n_draws: int) -> Marginal:
        """Return a copy that draws ``n_draws`` rows with replacement."""
        return Marginal(self.background, n_draws)

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None = None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return background rows, ``[1 or batch, (n_masks,) n_draws, *feat]``."""
        if not self._drawn:
            return tuple(rows.unsqueeze(0) for rows in self.background)
        uniform = noise((), self.n_draws, seed=seed, example_ids=example_ids)
        chosen = (uniform * self.background[0].shape[0]).long()  # [batch, 1 or n_masks, n_draws]
        if example_ids.dim() == 1:
            chosen = chosen.squeeze(1)
        return tuple(rows[chosen] for rows in self.background)
