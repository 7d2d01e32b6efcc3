"""Absent features come from rows that are near to the present ones."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.mixtures.mixture import Mixture
from pyxai.imputers.mixtures.scores import quadratic_scores

__all__ = ["KMeans"]


class KMeans(Mixture):
    """Draw absent features from a row of the cluster whose centre is nearest.

    ``c = argmin over c of the sum over present d of (x_d - m_cd)^2``, then a row of the data is
    drawn among those of the cluster.

    Parameters
    ----------
    n_components : int
        How many clusters.
    n_draws : int
        Draws for each example and mask.
    values : str
        ``"rows"``: a row of the cluster. ``"mean"``: its centre, without chance.
    n_rows : int
        How many rows of the data are kept to draw from, at random. A cluster that has none of
        them gives the one that is nearest to its centre.
    seed : int
        Of the fit and of the rows that are kept.

    Raises
    ------
    ValueError
        If a number is too small, or ``values`` is another word.

    Notes
    -----
    Where nothing is present, or centres are equally near, they are drawn by the number of their
    rows, so that a mask that removes everything gives rows of the data. `fit` needs scikit-learn,
    which fits the centres.

    References
    ----------
    .. [1] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023 (imputation from clusters of a data set).

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import KMeans
    >>> rows = torch.tensor([[0.0, 5.0], [0.1, 5.1], [9.0, -5.0], [9.1, -5.1]])
    >>> imputer = KMeans(2, values="mean").fit(rows)
    >>> x, shown = torch.tensor([[8.5, 0.0]]), torch.tensor([[[True, False]]])
    >>> ready = imputer.check((x,))
    >>> ready.draw((x,), (shown,), seed=0, example_ids=torch.tensor([0]))[0][..., 1]
    tensor([[[-5.0500]]])
    """

    _learnt: ClassVar[tuple[str, ...]] = (*Mixture._learnt, "_means")
    _means: Tensor

    def __init__(
        self,
        n_components: int = 50,
        *,
        n_draws: int = 1,
        values: str = "rows",
        n_rows: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(n_components, n_draws=n_draws, values=values, n_rows=n_rows, seed=seed)
        if self.values == "draws":
            raise ValueError("values must be one of 'rows', 'mean', got 'draws'")

    def _fit_components(self, rows: Tensor) -> None:
        centres, owners = cluster(rows, self.n_components, self.seed)
        # One that has no rows, as of rows that are equal, is drawn only where no other is as near.
        counts = owners.bincount(minlength=self.n_components).double().clamp(min=1e-9)
        self._means, self._log_weights = centres, (counts / counts.sum()).log()

    def _row_weights(self, rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, self._means)
        own = torch.nn.functional.one_hot(distances.argmin(1), self.n_components).double().T
        nearest = torch.nn.functional.one_hot(distances.argmin(0), len(rows)).double()
        return torch.where(own.any(1, keepdim=True), own, nearest)

    def _posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, None]:
        ones = torch.ones_like(self._means)
        near = quadratic_scores(flat, present, self._means, ones, torch.zeros_like(ones))
        best = near.amax(2, keepdim=True)
        return torch.where(near == best, 0.0, -torch.inf), None

    def _values(
        self,
        picked: Tensor,
        flat: Tensor,
        present: Tensor,
        numbers: Numbers,
        found: None,
        dtype: torch.dtype,
    ) -> Tensor:
        return self._means.to(dtype)[picked]


def cluster(rows: Tensor, n_clusters: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return centres [n_clusters, features] and the centre of each row, by scikit-learn."""
    with optional("a fit of clusters needs", "scikit-learn>=1.6", "imputers"):
        from sklearn.cluster import KMeans as Clusters
    model = Clusters(n_clusters, n_init=1, random_state=seed).fit(rows.cpu().numpy())
    centres, owners = torch.from_numpy(model.cluster_centers_), torch.from_numpy(model.labels_)
    return centres.to(rows), owners.to(rows.device).long()
