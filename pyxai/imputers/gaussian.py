"""Absent features are drawn from a normal distribution, given the present ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_int, check_real, describe
from pyxai._inputs import flat_features
from pyxai.covariance import Covariance, DenseCovariance
from pyxai.imputers.base import Imputer
from pyxai.imputers.conditions import conditions
from pyxai.imputers.randomness import noise
from pyxai.imputers.rows import background_of
from pyxai.runner.arrays import tensor_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Gaussian"]


class Gaussian(Imputer):
    r"""Draw absent features from their normal distribution given the present ones.

    ``x_absent ~ N(mu_a + C_ap C_pp^-1 (x_p - mu_p), C_aa - C_ap C_pp^-1 C_pa)``

    Parameters
    ----------
    background : Tensor or tuple of Tensor, shape [n_background, *feat] each, or iterable, optional
        Rows whose mean and covariance are used, in input units. See `Marginal` for loaders and
        arrays.
    n_draws : int
        Draws for each example and mask. They come in antithetic pairs around the conditional mean,
        so an even number is exact for functions that are linear in the absent features.
    mean : Tensor, shape [features], optional
        With ``covariance``, instead of a background: over the features of all inputs, flattened.
    covariance : Tensor [features, features] or Covariance, optional
        See ``mean``.
    shrinkage : float
        Share by which the covariance is moved towards its diagonal, in [0, 1]; needed where the
        background has no more rows than features. With 1 features are independent.

    Raises
    ------
    ValueError
        If neither or both of background and covariance are given, shapes do not match, or the
        covariance is singular.
    TypeError
        If an argument is not a tensor.

    Notes
    -----
    Joint draws z are moved to each condition by Matheron's rule, ``z_a + C_ap C_pp^-1 (x_p - z_p)``
    [2]_, so a mask costs one factorisation, features^3 / 3 operations, however many the draws. With
    a diagonal covariance, such as that of noise (``mean`` 0, ``covariance`` the identity), nothing
    is solved and draws do not depend on the mask.

    References
    ----------
    .. [1] K. Aas, M. Jullum, A. Løland, "Explaining individual predictions when features are
       dependent", Artificial Intelligence 298, 2021, section 3.1.
    .. [2] A. G. Journel, C. J. Huijbregts, "Mining Geostatistics", 1978 (Matheron's rule).

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import Gaussian
    >>> imputer = Gaussian(mean=torch.zeros(2), covariance=torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    >>> imputer.n_draws
    32
    """

    antithetic = True

    def __init__(
        self,
        background: Any = None,
        n_draws: int = 32,
        *,
        mean: Tensor | None = None,
        covariance: Tensor | Covariance | None = None,
        shrinkage: float = 0.0,
    ) -> None:
        self.n_draws = check_int("n_draws", n_draws, minimum=1)
        if (background is None) == (covariance is None):
            raise ValueError(
                "background must be given unless mean and covariance are, got "
                + ("neither" if background is None else "both")
            )
        if background is not None:
            mean, matrix = _moments(background)
        elif isinstance(covariance, Covariance):
            matrix = covariance.block(torch.arange(covariance.features))
        else:
            matrix = tensor_of("covariance", covariance)
            check_real("covariance", matrix)
            check_finite("covariance", matrix)
        mean = tensor_of("mean", mean)
        check_real("mean", mean)
        check_finite("mean", mean)
        if mean.dim() != 1 or matrix.dim() != 2 or matrix.shape[0] != mean.numel():
            raise ValueError(
                f"covariance must have shape [{mean.numel()}, {mean.numel()}] for the mean given, "
                f"got {list(matrix.shape)}"
            )
        dense = DenseCovariance(matrix.double(), shrinkage=shrinkage)
        dense.solve(torch.zeros_like(dense.diagonal()))  # a singular matrix is an error here
        self._mean = mean.double()
        self._covariance = dense
        found = dense.matrix
        # Independent features need no look at the mask: then draws serve all masks, and points of
        # the continuous extension too.
        self.conditional = bool((found != torch.diag(found.diagonal())).any())

    def check(self, inputs: tuple[Tensor, ...]) -> Gaussian:
        """Return this imputer on the device of ``inputs``, if the features are as many."""
        features = sum(value[0].numel() for value in inputs)
        if features != self._mean.numel():
            raise ValueError(
                f"inputs must have {self._mean.numel()} features like the distribution, "
                f"got {features}"
            )
        for value in inputs:
            if not value.is_floating_point():
                raise TypeError(
                    f"inputs must be floating point for normal draws, got {value.dtype}"
                )
        device = inputs[0].device
        return Gaussian(
            n_draws=self.n_draws,
            mean=self._mean.to(device),
            covariance=self._covariance.matrix.to(device),
        )

    def _fields(self) -> dict[str, Any]:
        matrix = self._covariance.matrix
        return {"n_draws": self.n_draws, "mean": self._mean, "covariance": matrix}

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return draws, given the present features unless the others do not depend on them.

        ``[batch, n_masks, n_draws, *feat]``; of independent features
        ``[batch, (n_masks,) n_draws, *feat]``.
        """
        # [batch, 1 or n_masks, n_draws, features]
        drawn = self._mean + self._covariance.color(self._normals(example_ids, seed))
        if self.conditional:
            if masks is None:
                raise TypeError(f"masks must be given for conditional draws, got {describe(masks)}")
            flat = torch.cat([flat_features(value) for value in inputs], 1).double()
            present = torch.cat([flat_features(mask, 2) for mask in masks], 2)
            drawn = drawn + self._moves(present, flat[:, None, None] - drawn)
        elif example_ids.dim() == 1:
            drawn = drawn.squeeze(1)
        sizes = [value[0].numel() for value in inputs]
        return tuple(
            part.reshape(*part.shape[:-1], *value.shape[1:]).to(value.dtype)
            for part, value in zip(torch.split(drawn, sizes, -1), inputs, strict=True)
        )

    def _normals(self, example_ids: Tensor, seed: int) -> Tensor:
        """Return normals in antithetic pairs, [batch, 1 or n_masks, n_draws, features]."""
        half = noise(
            (self._mean.numel(),),
            (self.n_draws + 1) // 2,
            seed=seed,
            example_ids=example_ids,
            distribution="normal",
        )
        return torch.stack([half, -half], 3).flatten(2, 3)[:, :, : self.n_draws]

    def _moves(self, present: Tensor, gap: Tensor) -> Tensor:
        """Return ``C_ap C_pp^-1 (x_p - z_p)`` at absent features, by one system for each mask.

        present [batch, n_masks, features], gap [batch, 1 or n_masks, n_draws, features]
        -> [batch, n_masks, n_draws, features]
        """
        batch, n_masks, features = present.shape
        if bool((present == present[:1]).all()):  # one system serves all rows
            columns = gap.permute(1, 3, 0, 2).flatten(2)  # [1 or n_masks, features, batch * draws]
            moves = self._solved(present[0], columns.expand(n_masks, -1, -1))
            return moves.view(n_masks, features, batch, -1).permute(2, 0, 3, 1)
        columns = gap.expand(-1, n_masks, -1, -1).flatten(0, 1).transpose(1, 2)
        moves = self._solved(present.flatten(0, 1), columns)
        return moves.view(batch, n_masks, features, -1).transpose(2, 3)

    def _solved(self, present: Tensor, columns: Tensor) -> Tensor:
        """Return the moves of some columns for each mask.

        present [n_systems, features], columns [n_systems, features, n] -> like columns
        """
        parts = conditions(self._covariance.matrix, present)
        return torch.cat([given.moves(columns[part]) for part, given in parts])


def _moments(background: Any) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of the rows, over the features of all inputs."""
    rows = torch.cat([flat_features(value) for value in background_of(background)], 1).double()
    if rows.shape[0] < 2:
        raise ValueError("background must have at least 2 rows for a covariance, got 1")
    centred = rows - rows.mean(0)
    return rows.mean(0), centred.T @ centred / (rows.shape[0] - 1)
