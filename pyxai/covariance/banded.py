"""Covariance of a signal whose values depend on close neighbours only."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_finite, check_tensor
from pyxai.covariance.base import (
    MAX_DENSE_ROOT,
    Covariance,
    added_variance,
    pivot_of,
    symmetric_root,
)

__all__ = ["BandedCovariance"]

MIN_BLOCK = 16  # a narrow band is cut into blocks of this size, for fewer steps


class BandedCovariance(Covariance):
    """Band of a covariance: entries further from the diagonal than ``bandwidth`` are 0.

    Parameters
    ----------
    diagonals : Tensor, shape [bandwidth + 1, features]
        ``diagonals[k, i] = Sigma[i, i + k]``; the last ``k`` entries of row ``k`` are not read.
    shrinkage : float
        In [0, 1]: the off-diagonal entries are multiplied by ``1 - shrinkage``. Cutting a
        covariance to a band can cost it positive definiteness; shrinkage restores it.
    ridge : float
        This fraction of the mean variance is added to every variance; not negative.

    Notes
    -----
    Stored as tridiagonal blocks of the bandwidth's size: factor, solve and the diagonal of the
    inverse cost O(features * bandwidth^2).
    """

    def __init__(self, diagonals: Tensor, *, shrinkage: float = 0.0, ridge: float = 0.0) -> None:
        check_tensor("diagonals", diagonals)
        check_dtype("diagonals", diagonals, (torch.float32, torch.float64))
        if diagonals.dim() != 2 or diagonals.shape[0] > diagonals.shape[1]:
            raise ValueError(
                "diagonals must have shape [bandwidth + 1, features] with bandwidth < features, "
                f"got {list(diagonals.shape)}"
            )
        check_finite("diagonals", diagonals)
        bands = diagonals.detach().clone()
        extra = added_variance(bands[0], shrinkage, ridge)
        bands *= 1 - shrinkage
        bands[0] += extra
        for k in range(1, len(bands)):
            bands[k, bands.shape[1] - k :] = 0
        self.diagonals = bands
        self._pivot = pivot_of(bands)
        self.features = bands.shape[1]
        self._size = min(self.features, max(MIN_BLOCK, len(bands) - 1))
        self._count = -(-self.features // self._size)
        self.n_normals = self._count * self._size

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        n = self.features
        result = vectors * self.diagonals[0]
        for k in range(1, len(self.diagonals)):
            band = self.diagonals[k, : n - k]
            result[..., : n - k] += band * vectors[..., k:]
            result[..., k:] += band * vectors[..., : n - k]
        return result

    @cached_property
    def _blocks(self) -> tuple[Tensor, Tensor]:
        """Diagonal blocks and blocks below them of the Cholesky factor, float64."""
        return self._factorise(self._pivoted)

    @cached_property
    def _root(self) -> tuple[Tensor, Tensor] | Tensor:
        """As `_blocks`, of a root that a singular covariance has too, or a dense root.

        Going down the blocks magnifies rounding where the upper ones are close to singular, so that
        a valid band can be refused; the eigenvalues of the whole are safe.
        """
        try:
            return self._factorise(_semidefinite)
        except ValueError as refused:
            if self.features > MAX_DENSE_ROOT:
                raise
            try:
                eye = torch.eye(self.features).to(self.diagonals.double())
                return symmetric_root(self.product(eye))
            except ValueError:
                raise refused from None

    def _factorise(
        self, split: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Go down the blocks; ``split`` gives a root of one and what it leaves below."""
        size, count = self._size, self._count
        padded = torch.zeros(size + 1, count * size).to(self.diagonals.double())
        padded[0] = 1.0  # padding is an independent feature of variance 1
        padded[: len(self.diagonals), : self.features] = self.diagonals.double()
        roots: list[Tensor] = []
        below: list[Tensor] = []
        for index in range(count):
            here, coupling = _block_pair(padded, index, size)
            variances = here.diagonal().clone()
            if below:
                here = here - below[-1] @ below[-1].T
            root, rest = split(here, coupling, variances)
            roots.append(root)
            below.append(rest)
        return torch.stack(roots), torch.stack(below)

    def _pivoted(self, here: Tensor, coupling: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
        factor, info = torch.linalg.cholesky_ex(here)
        if int(info) or bool((factor.diagonal() ** 2 <= self._pivot * variances).any()):
            raise self._singular("a band that is not")
        return factor, torch.linalg.solve_triangular(factor, coupling, upper=False).T

    def _pad(self, vectors: Tensor) -> Tensor:
        missing = self._count * self._size - vectors.shape[-1]
        wide = torch.nn.functional.pad(vectors.double(), (0, missing))
        return wide.reshape(*vectors.shape[:-1], self._count, self._size)

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma; it may be singular."""
        if isinstance(self._root, Tensor):
            drawn: Tensor = normals[..., : self.features].double() @ self._root.T
            return drawn.to(normals.dtype)
        roots, below = self._root
        z = self._pad(normals)
        draws = torch.einsum("kij,...kj->...ki", roots, z)
        draws[..., 1:, :] += torch.einsum("kij,...kj->...ki", below[:-1], z[..., :-1, :])
        return draws.flatten(-2)[..., : self.features].to(normals.dtype)

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return self.diagonals[0]

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        # Blocks on the diagonal of the inverse, from the last one up (Takahashi's recursion).
        lower, below = self._blocks
        eye = torch.eye(lower.shape[1]).to(lower)
        inverses = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
        found, last = [], torch.zeros_like(eye)
        for inverse, rest in zip(inverses.flip(0), below.flip(0), strict=True):
            reach = rest @ inverse
            last = inverse.T @ inverse + reach.T @ last @ reach
            found.append(last.diagonal())
        return torch.cat(found[::-1])[: self.features].to(self.diagonals.dtype)

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v`` by block substitution."""
        lower, below = self._blocks
        v = self._pad(vectors.reshape(-1, self.features))
        count = len(lower)
        y = torch.zeros_like(v)
        for k in range(count):
            rest = v[:, k] - (y[:, k - 1] @ below[k - 1].T if k else 0)
            y[:, k] = torch.linalg.solve_triangular(lower[k], rest.T, upper=False).T
        for k in reversed(range(count)):
            rest = y[:, k] - (y[:, k + 1] @ below[k] if k + 1 < count else 0)
            y[:, k] = torch.linalg.solve_triangular(lower[k].T, rest.T, upper=True).T
        solved = y.flatten(-2)[:, : self.features].to(vectors.dtype)
        return solved.reshape(vectors.shape)

    def _moved(self, device: torch.device, dtype: torch.dtype) -> BandedCovariance:
        return BandedCovariance(self.diagonals.to(device, dtype))


def _semidefinite(here: Tensor, coupling: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return a root of a block, and the block below it; directions without variance reach nothing.

    Raises ``ValueError`` if the matrix has a negative eigenvalue.
    """
    values, vectors = torch.linalg.eigh(here)
    largest = variances.max().clamp(min=torch.finfo(values.dtype).tiny)
    reach = vectors.T @ coupling
    flat = values <= 1e-13 * largest
    if values[0] < -1e-6 * largest or bool((reach[flat].abs() > 1e-6 * coupling.abs().max()).any()):
        raise ValueError(
            "covariance must be positive semi-definite, got a band that is not; cutting a "
            "covariance to a band can do that: pass shrinkage > 0 or ridge > 0"
        )
    deviations = values.clamp(min=0).sqrt().masked_fill(flat, 0.0)
    inverse = deviations.reciprocal().masked_fill(flat, 0.0)
    return vectors * deviations, reach.T * inverse


def _block_pair(bands: Tensor, index: int, size: int) -> tuple[Tensor, Tensor]:
    """Return block ``index`` on the diagonal and the block to its right, ``Sigma[I, I + 1]``."""
    start = index * size
    order = torch.arange(size, device=bands.device)
    i, j = order[:, None], order[None]
    gap = (j - i).abs()
    here = bands[gap, start + torch.minimum(i, j)]
    offset = j + size - i
    right = bands[offset.clamp(max=size), (start + i).expand(size, size)]
    return here, torch.where(offset <= size, right, torch.zeros_like(right))
