"""Covariances that are stored as they are: a full matrix, a diagonal, or blocks of others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_finite, check_int, check_tensor, describe
from pyxai.covariance.base import (
    Covariance,
    added_variance,
    check_matrix,
    pivot_of,
    symmetric_root,
)

__all__ = ["BlockCovariance", "DenseCovariance", "DiagonalCovariance"]


class DenseCovariance(Covariance):
    """A full matrix, shrunk: ``(1 - a) Sigma + a diag(Sigma) + ridge * mean(diag(Sigma)) I``.

    Parameters
    ----------
    matrix : Tensor, shape [features, features]
        Symmetric, float32 or float64.
    shrinkage : float
        The ``a`` above, in [0, 1].
    ridge : float
        As above, not negative.

    Raises
    ------
    ValueError
        If the matrix is not square, symmetric and finite.
    """

    def __init__(self, matrix: Tensor, *, shrinkage: float = 0.0, ridge: float = 0.0) -> None:
        matrix = check_matrix("matrix", matrix)
        if matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"matrix must be square, got shape {list(matrix.shape)}")
        gap = (matrix - matrix.T).max()  # with its opposite
        if gap > 1e-4 * matrix.abs().max():
            raise ValueError(f"matrix must be symmetric, got a difference of {gap.item():.3g}")
        extra = added_variance(matrix.diagonal(), shrinkage, ridge)
        self.matrix = (1 - shrinkage) * matrix + torch.diag(extra)
        self.features = self.n_normals = matrix.shape[0]
        self._pivot = pivot_of(matrix)

    @cached_property
    def _root(self) -> Tensor:
        return symmetric_root(self.matrix)

    @cached_property
    def _factor(self) -> Tensor:
        factor: Tensor
        factor, info = torch.linalg.cholesky_ex(self.matrix.double())
        pivots = factor.diagonal() ** 2
        if int(info) or (pivots <= self._pivot * self.matrix.diagonal().double()).any():
            raise self._singular("a singular matrix")
        return factor

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        return vectors @ self.matrix

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma."""
        return normals @ self._root.T

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return self.matrix.diagonal()

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v``."""
        flat = vectors.reshape(-1, self.features).double()
        solved: Tensor = torch.cholesky_solve(flat.T, self._factor).T
        return solved.to(vectors.dtype).reshape(vectors.shape)

    @cached_property
    def _inverse(self) -> Tensor:
        return torch.cholesky_inverse(self._factor)

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        return self._inverse.diagonal().to(self.matrix.dtype)

    def block(self, indices: Tensor) -> Tensor:
        """Return ``Sigma[S, S]``."""
        return self.matrix[indices][:, indices]

    def blocks(self, members: Tensor) -> Tensor:
        """Return ``Sigma[S, S]`` for each row of ``members``."""
        return self.matrix[members[:, :, None], members[:, None, :]]

    def conditional_blocks(self, members: Tensor) -> Tensor:
        """Return the covariance given all other features, for each row of ``members``."""
        blocks: Tensor = torch.linalg.inv(self._inverse[members[:, :, None], members[:, None, :]])
        return blocks.to(self.matrix.dtype)

    def _moved(self, device: torch.device, dtype: torch.dtype) -> DenseCovariance:
        return DenseCovariance(self.matrix.to(device, dtype))


class DiagonalCovariance(Covariance):
    """Independent features.

    Parameters
    ----------
    variances : Tensor, shape [features]
        Not negative, float32 or float64.
    """

    def __init__(self, variances: Tensor) -> None:
        check_tensor("variances", variances)
        check_dtype("variances", variances, (torch.float32, torch.float64))
        if variances.dim() != 1 or not len(variances):
            raise ValueError(f"variances must be a vector, got shape {list(variances.shape)}")
        check_finite("variances", variances)
        if (variances < 0).any():
            raise ValueError(f"variances must not be negative, got {variances.min().item():.3g}")
        self.variances = variances.detach()
        self.features = self.n_normals = len(variances)

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        return vectors * self.variances

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma."""
        return normals * self.variances.sqrt()

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return self.variances

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v``."""
        if (self.variances == 0).any():
            raise self._singular("a feature without variance")
        return vectors / self.variances

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        return self.solve(torch.ones_like(self.variances))

    def _moved(self, device: torch.device, dtype: torch.dtype) -> DiagonalCovariance:
        return DiagonalCovariance(self.variances.to(device, dtype))


class BlockCovariance(Covariance):
    """Independent blocks of consecutive features: channels of an image, tokens of a text.

    Parameters
    ----------
    blocks : sequence of Covariance
        One per block, in the order of the flattened features.
    repeats : int
        The whole sequence of blocks stands this many times: one embedding covariance serves all
        tokens as ``BlockCovariance([covariance], repeats=n_tokens)``.
    """

    def __init__(self, blocks: Sequence[Covariance], *, repeats: int = 1) -> None:
        if not isinstance(blocks, Sequence) or not all(isinstance(b, Covariance) for b in blocks):
            raise TypeError(f"blocks must be a sequence of covariances, got {_kinds(blocks)}")
        if not blocks:
            raise ValueError("blocks must hold at least one covariance, got none")
        self.parts, self.repeats = list(blocks), check_int("repeats", repeats, minimum=1)
        self.features = repeats * sum(block.features for block in blocks)
        self.n_normals = repeats * sum(block.n_normals for block in blocks)

    def _apply(self, name: str, vectors: Tensor, size: str) -> Tensor:
        sizes = [getattr(block, size) for block in self.parts]
        wide = vectors.reshape(*vectors.shape[:-1], self.repeats, sum(sizes))
        parts = torch.split(wide, sizes, -1)
        done = [getattr(b, name)(p) for b, p in zip(self.parts, parts, strict=True)]
        return torch.cat(done, -1).flatten(-2)

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        return self._apply("product", vectors, "features")

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma."""
        return self._apply("color", normals, "n_normals")

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v``."""
        return self._apply("solve", vectors, "features")

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return torch.cat([block.diagonal() for block in self.parts]).repeat(self.repeats)

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        parts = [block.precision_diagonal() for block in self.parts]
        return torch.cat(parts).repeat(self.repeats)

    def _moved(self, device: torch.device, dtype: torch.dtype) -> BlockCovariance:
        return BlockCovariance([b.to(device, dtype) for b in self.parts], repeats=self.repeats)


def _kinds(blocks: Any) -> str:
    """Say what stands in the place of covariances."""
    if not isinstance(blocks, (tuple, list)):
        return describe(blocks)
    return "one with " + next(describe(b) for b in blocks if not isinstance(b, Covariance))
