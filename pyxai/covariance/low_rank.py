"""Covariances of the form ``F F' + diag(e)``: a sample matrix, or its leading directions.

Nothing of size features x features is formed, so an image of 150,528 values is affordable.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.covariance.base import Covariance, check_matrix, check_shrinkage

__all__ = ["LowRankCovariance", "SampleCovariance"]


class LowRankCovariance(Covariance):
    """``Sigma = F' F + diag(e)``.

    Parameters
    ----------
    factor : Tensor, shape [rank, features]
        The ``F`` above, float32 or float64.
    extra : Tensor, shape [features], optional
        The ``e`` above, not negative; default: none, and Sigma is singular if rank < features.
    """

    def __init__(self, factor: Tensor, extra: Tensor | None = None) -> None:
        self.factor = check_matrix("factor", factor)
        rank, self.features = self.factor.shape
        self.extra = None if extra is None else extra.detach().to(self.factor)
        if self.extra is not None:
            if self.extra.shape != (self.features,):
                raise ValueError(
                    f"extra must have shape [{self.features}], got {list(self.extra.shape)}"
                )
            if (self.extra < 0).any():
                raise ValueError(f"extra must not be negative, got {self.extra.min().item():.3g}")
        self.n_normals = rank + (0 if self.extra is None else self.features)

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        result = (vectors @ self.factor.T) @ self.factor
        return result if self.extra is None else result + vectors * self.extra

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma; exact, and no Cholesky factor is needed."""
        rank = self.factor.shape[0]
        draws = normals[..., :rank] @ self.factor
        return draws if self.extra is None else draws + normals[..., rank:] * self.extra.sqrt()

    def diagonal(self) -> Tensor:
        """Return the variances."""
        result = self.factor.square().sum(0)
        return result if self.extra is None else result + self.extra

    @cached_property
    def _woodbury(self) -> tuple[Tensor, Tensor]:
        """Inverse of ``e`` and the inner inverse ``(I + F e^-1 F')^-1``, in float64."""
        if self.extra is None or (self.extra <= 0).any():
            raise self._singular(f"rank {self.factor.shape[0]} for {self.features} features")
        inverse = self.extra.double().reciprocal()
        factor = self.factor.double()
        inner = torch.eye(len(factor), dtype=torch.float64, device=factor.device)
        inner = inner + (factor * inverse) @ factor.T
        return inverse, torch.linalg.inv(inner)

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v`` by Woodbury's identity."""
        inverse, inner = self._woodbury
        scaled = vectors.double() * inverse
        factor = self.factor.double()
        result: Tensor = scaled - ((scaled @ factor.T) @ inner) @ factor * inverse
        return result.to(vectors.dtype)

    def precision_diagonal(self) -> Tensor:
        """Return the diagonal of ``Sigma^-1``."""
        inverse, inner = self._woodbury
        factor = self.factor.double()
        explained = (factor * (inner @ factor)).sum(0)
        return (inverse - explained * inverse.square()).to(self.factor.dtype)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> LowRankCovariance:
        """Return the same covariance elsewhere."""
        extra = None if self.extra is None else self.extra.to(device, dtype)
        return LowRankCovariance(self.factor.to(device, dtype), extra)


class SampleCovariance(LowRankCovariance):
    """Sample covariance of data rows: ``(1 - a) X'X / (N - 1) + a diag``, X centred.

    Parameters
    ----------
    rows : Tensor, shape [n_rows, features]
        Data, at least two rows; centred here. float32 or float64.
    shrinkage : float
        The ``a`` above, in [0, 1]; ``diag`` holds the sample variances.
    rank : int, optional
        Keep only this many leading directions; the variances that are dropped are not replaced.

    Notes
    -----
    A draw is ``X' u / sqrt(N - 1)`` with ``u`` standard normal: exact, also where N - 1 < features
    and a Cholesky factor does not exist.
    """

    def __init__(self, rows: Tensor, *, shrinkage: float = 0.0, rank: int | None = None) -> None:
        rows = check_matrix("rows", rows)
        if len(rows) < 2:
            raise ValueError(f"rows must hold at least 2 rows, got {len(rows)}")
        a = check_shrinkage(shrinkage)
        centred = (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5
        variances = centred.square().sum(0)
        if rank is not None:
            centred = _leading(centred, check_int("rank", rank, minimum=1))
        super().__init__((1 - a) ** 0.5 * centred, a * variances if a > 0 else None)


def _leading(factor: Tensor, rank: int) -> Tensor:
    """Return the ``rank`` leading directions of ``F'F`` as a factor of that many rows."""
    values, vectors = torch.linalg.eigh(factor @ factor.T)
    return vectors[:, -rank:].T @ factor if rank < len(values) else factor
