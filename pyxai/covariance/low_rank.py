"""Covariances of the form ``F F' + diag(e)``: a sample matrix, or its leading directions.

Nothing of size features x features is formed, so an image of 150,528 values is affordable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_finite, check_int, check_shape, check_tensor
from pyxai.covariance.base import (
    MAX_KEPT,
    Covariance,
    added_variance,
    check_matrix,
    check_shrinkage,
    pivot_of,
)
from pyxai.covariance.dense import DenseCovariance

__all__ = ["LowRankCovariance", "SampleCovariance"]

BLOCK = 2**22  # numbers that are held in float64 at a time


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
        self._rank, self.features = self.factor.shape
        self._pivot = pivot_of(self.factor)
        self.extra = None if extra is None else self._checked(extra)
        self.n_normals = self._rank + (0 if self.extra is None else self.features)

    def _checked(self, extra: Tensor) -> Tensor:
        check_dtype("extra", check_tensor("extra", extra), (torch.float32, torch.float64))
        check_shape("extra", extra, (self.features,))
        check_finite("extra", extra)
        if (extra < 0).any():
            raise ValueError(f"extra must not be negative, got {extra.min().item():.3g}")
        return extra.detach().to(self.factor)

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
            raise self._singular(f"rank {self._rank} for {self.features} features")
        inverse = self.extra.double().reciprocal()
        factor = self.factor.double()
        inner = torch.eye(len(factor), dtype=torch.float64, device=factor.device)
        inner = inner + (factor * inverse) @ factor.T
        return inverse, torch.linalg.inv(inner)

    @cached_property
    def _square(self) -> DenseCovariance | None:
        """The full matrix where it is smaller than the factor, in float64."""
        if len(self.factor) < self.features:
            return None
        factor = self.factor.double()
        matrix = factor.T @ factor
        square = DenseCovariance(matrix if self.extra is None else matrix + self.extra.diag())
        square._pivot = self._pivot  # that of the numbers it is made of
        return square

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v`` by Woodbury's identity."""
        if self._square is not None:
            return self._square.solve(vectors)
        inverse, inner = self._woodbury
        scaled = vectors.double() * inverse
        factor = self.factor.double()
        result: Tensor = scaled - ((scaled @ factor.T) @ inner) @ factor * inverse
        return result.to(vectors.dtype)

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        if self._square is not None:
            return self._square.precision_diagonal().to(self.factor.dtype)
        inverse, inner = self._woodbury
        factor = self.factor.double()
        explained = (factor * (inner @ factor)).sum(0)
        return (inverse - explained * inverse.square()).to(self.factor.dtype)

    def blocks(self, members: Tensor) -> Tensor:
        """Return ``Sigma[S, S]`` for each row of ``members``."""
        parts = self.factor[:, members]
        result = torch.einsum("rki,rkj->kij", parts, parts)
        return result if self.extra is None else result + torch.diag_embed(self.extra[members])

    def conditional_blocks(self, members: Tensor) -> Tensor:
        """Return the covariance given all other features, for each row of ``members``."""
        if self._square is not None:
            return self._square.conditional_blocks(members).to(self.factor.dtype)
        inverse, inner = self._woodbury
        parts = (self.factor.double() * inverse)[:, members]
        explained = torch.einsum("rki,rs,skj->kij", parts, inner, parts)
        blocks: Tensor = torch.linalg.inv(torch.diag_embed(inverse[members]) - explained)
        return blocks.to(self.factor.dtype)

    def marginal_form(self, vectors: Tensor, members: Tensor) -> Tensor:
        """Return ``v' Sigma[S, S] v`` without the block, so groups may be large."""
        reach = torch.einsum("rki,...ki->...kr", self.factor[:, members], vectors)
        result = reach.square().sum(-1)
        if self.extra is not None:
            result = result + (vectors.square() * self.extra[members]).sum(-1)
        return result

    def conditional_form(self, vectors: Tensor, members: Tensor) -> Tensor:
        """Return ``v' C v``, ``C = e_S + F_S' (I + F_R e_R^-1 F_R')^-1 F_S`` given the rest R."""
        if self._square is not None:
            return self._square.conditional_form(vectors.double(), members).to(vectors.dtype)
        inverse, _ = self._woodbury
        factor, wide = self.factor.double(), vectors.double()
        few = len(members) * len(factor) ** 2 <= MAX_KEPT
        roots: Iterable[Tensor] = (
            self._kept(members, self._roots_without) if few else map(self._root_without, members)
        )
        result = torch.empty(vectors.shape[:-1], dtype=torch.float64, device=vectors.device)
        for k, (inside, root) in enumerate(zip(members, roots, strict=True)):
            reach = wide[..., k, :] @ factor[:, inside].T
            flat = reach.reshape(-1, len(factor)).T
            left = torch.linalg.solve_triangular(root, flat, upper=False)
            result[..., k] = left.square().sum(0).view(reach.shape[:-1])
            result[..., k] += (wide[..., k, :].square() / inverse[inside]).sum(-1)
        return result.to(vectors.dtype)

    def _roots_without(self, members: Tensor) -> Tensor:
        return torch.stack([self._root_without(inside) for inside in members])

    def _root_without(self, inside: Tensor) -> Tensor:
        """Return the root of ``I + F_R e_R^-1 F_R'`` for the features R that are not ``inside``."""
        outside = self._woodbury[0].clone()
        outside[inside] = 0.0
        factor = self.factor.double()
        eye = torch.eye(len(factor), dtype=torch.float64, device=factor.device)
        root: Tensor = torch.linalg.cholesky(eye + (factor * outside) @ factor.T)
        return root

    def _moved(self, device: torch.device, dtype: torch.dtype) -> LowRankCovariance:
        factor = self.factor.to(device, dtype)
        extra = None if self.extra is None else self.extra.to(device, dtype)
        moved = LowRankCovariance(factor, extra)
        moved._rank = self._rank
        return moved


class SampleCovariance(LowRankCovariance):
    """Sample covariance of rows, ``(1 - a) X'X / (N - 1) + a diag + ridge * mean(diag) I``.

    Parameters
    ----------
    rows : Tensor, shape [n_rows, features]
        Data, at least two rows; centred here. float32 or float64.
    shrinkage : float
        The ``a`` above, in [0, 1]; ``diag`` holds the sample variances, and X is centred.
    ridge : float
        As above, not negative.
    rank : int, optional
        Keep only this many leading directions; the variances that are dropped are not replaced.

    Notes
    -----
    A draw is ``X' u / sqrt(N - 1)`` with ``u`` standard normal: exact, also where N - 1 < features
    and a Cholesky factor does not exist.
    """

    def __init__(
        self,
        rows: Tensor,
        *,
        shrinkage: float = 0.0,
        ridge: float = 0.0,
        rank: int | None = None,
    ) -> None:
        rows = check_matrix("rows", rows)
        if len(rows) < 2:
            raise ValueError(f"rows must hold at least 2 rows, got {len(rows)}")
        factor, variances = _centred(rows, 1 - check_shrinkage(shrinkage))
        if rank is not None:
            factor = _leading(factor, check_int("rank", rank, minimum=1))
        extra = added_variance(variances, shrinkage, ridge)
        super().__init__(factor, extra if shrinkage > 0 or ridge > 0 else None)
        self._rank = min(len(factor), len(rows) - 1)  # centring costs one


def _columns(matrix: Tensor) -> Iterator[slice]:
    """Yield blocks of columns that are small enough to be held in float64."""
    step = max(1, BLOCK // len(matrix))
    return (slice(start, start + step) for start in range(0, matrix.shape[1], step))


def _centred(rows: Tensor, part: float) -> tuple[Tensor, Tensor]:
    """Return a factor of ``part`` of the sample covariance of rows, and the sample variances."""
    factor = torch.empty_like(rows)
    variances = rows.new_empty(rows.shape[1], dtype=torch.float64)
    for block in _columns(rows):
        wide = rows[:, block].double()
        wide = (wide - wide.mean(0)) / (len(rows) - 1) ** 0.5
        variances[block] = wide.square().sum(0)
        factor[:, block] = wide * part**0.5
    return factor, variances


def _leading(factor: Tensor, rank: int) -> Tensor:
    """Return the ``rank`` leading directions of ``F'F`` as a factor of that many rows.

    All in float64: features of small variance are lost in the rounding of large ones otherwise.
    """
    if len(factor) > factor.shape[1]:
        factor = _triangle(factor)
    if rank >= len(factor):
        return factor
    gram = factor.new_zeros(len(factor), len(factor), dtype=torch.float64)
    for block in _columns(factor):
        wide = factor[:, block].double()
        gram += wide @ wide.T
    turn = torch.linalg.eigh(gram).eigenvectors[:, -rank:].T
    result = factor.new_empty(rank, factor.shape[1])
    for block in _columns(factor):
        result[:, block] = (turn @ factor[:, block].double()).to(result.dtype)
    return result


def _triangle(factor: Tensor) -> Tensor:
    """Return a square factor of ``F'F``; each column keeps its own relative precision."""
    features = factor.shape[1]
    found = factor.new_zeros(0, features, dtype=torch.float64)
    for part in torch.split(factor, max(features, BLOCK // features)):
        found = torch.linalg.qr(torch.cat([found, part.double()]), mode="r").R
    return found.to(factor.dtype)
