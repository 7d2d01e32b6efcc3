"""What every representation of a covariance matrix can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from pyxai._checks import check_dtype, check_finite, check_number, check_tensor

__all__ = [
    "Covariance",
    "added_variance",
    "check_matrix",
    "check_ridge",
    "check_shrinkage",
    "pivot_of",
    "symmetric_root",
]

# A Cholesky factor may exist by rounding alone: a pivot, the variance of a feature given those
# before it, that is no larger than this fraction of the feature's variance counts as zero.
PIVOT = 1e-12

MAX_KEPT = 2**22  # most numbers that are kept for the groups of one size
MAX_DENSE_ROOT = 2048  # most features whose draws may come from a dense root of another form


class Covariance(ABC):
    """Covariance matrix ``Sigma`` of flattened features, never formed unless its form is dense.

    Attributes
    ----------
    features : int
        Number of rows (and columns).
    n_normals : int
        How many independent standard normals one draw of `color` needs.
    """

    features: int
    n_normals: int
    _pivot: float = PIVOT  # the least pivot, of entries as they were given, whatever holds them now

    @abstractmethod
    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v`` for each vector; shape [..., features] in and out."""

    @abstractmethod
    def color(self, normals: Tensor) -> Tensor:
        """Turn standard normals [..., n_normals] into draws [..., features] of covariance Sigma."""

    @abstractmethod
    def diagonal(self) -> Tensor:
        """Return the variances, shape [features]."""

    @abstractmethod
    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v`` for each vector; ``ValueError`` if Sigma is singular."""

    @abstractmethod
    def _moved(self, device: torch.device, dtype: torch.dtype) -> Covariance:
        """Return a new covariance on another device or in another dtype."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Covariance:
        """Return the same covariance on another device or in another dtype.

        The same call returns the same object, so that its factors are computed once.
        """
        like, place = self.diagonal(), torch.device(device)
        if like.dtype == dtype and like.device == place:
            return self
        if (place, dtype) not in self._elsewhere:
            moved = self._moved(place, dtype)
            moved._pivot = max(moved._pivot, self._pivot)
            self._elsewhere[place, dtype] = moved
        return self._elsewhere[place, dtype]

    @cached_property
    def _elsewhere(self) -> dict[tuple[torch.device, torch.dtype], Covariance]:
        return {}

    def precision_diagonal(self) -> Tensor:
        """Return the diagonal of ``Sigma^-1``, shape [features]; computed once.

        Its inverse is the variance of each feature given all others.
        """
        return self._inverse_diagonal

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        step = max(1, 2**22 // max(1, self.features))
        parts = [
            self._inverse_columns(torch.arange(start, min(start + step, self.features)))
            for start in range(0, self.features, step)
        ]
        return torch.cat([part.diagonal(offset) for part, offset in _offsets(parts)])

    def block(self, indices: Tensor) -> Tensor:
        """Return ``Sigma[S, S]`` for the features ``indices``, shape [k, k]."""
        return self.product(self._units(indices))[:, indices]

    def conditional_block(self, indices: Tensor) -> Tensor:
        """Return the covariance of the features ``indices`` given all others, shape [k, k].

        It equals ``((Sigma^-1)[S, S])^-1``.
        """
        conditional: Tensor = torch.linalg.inv(self._inverse_columns(indices)[:, indices])
        return conditional

    def blocks(self, members: Tensor) -> Tensor:
        """Return ``Sigma[S, S]`` for each row of ``members`` [k, size], shape [k, size, size]."""
        return torch.stack([self.block(indices) for indices in members])

    def conditional_blocks(self, members: Tensor) -> Tensor:
        """Return `conditional_block` for each row of ``members`` [k, size]."""
        return torch.stack([self.conditional_block(indices) for indices in members])

    def marginal_form(self, vectors: Tensor, members: Tensor) -> Tensor:
        """Return ``v' Sigma[S, S] v`` for ``vectors`` [..., k, size] on ``members`` [k, size]."""
        return _forms(self.blocks(members), vectors)

    def conditional_form(self, vectors: Tensor, members: Tensor) -> Tensor:
        """Return ``v' C v`` with C the covariance of each row of ``members`` given all others."""
        return _forms(self._kept(members, self.conditional_blocks), vectors)

    def _kept(self, members: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``make(members)``, kept as long as ``members`` lives: passes share the groups."""
        if members not in self._of_members:
            found = make(members)
            if found.numel() > MAX_KEPT:
                return found
            self._of_members[members] = found
        kept: Tensor = self._of_members[members]
        return kept

    @cached_property
    def _of_members(self) -> WeakIdKeyDictionary:
        return WeakIdKeyDictionary()

    def _units(self, indices: Tensor) -> Tensor:
        like = self.diagonal()
        units = torch.zeros(len(indices), self.features, dtype=like.dtype, device=like.device)
        return units.scatter_(1, indices.to(like.device)[:, None], 1.0)

    def _inverse_columns(self, indices: Tensor) -> Tensor:
        return self.solve(self._units(indices))

    def _singular(self, what: str) -> ValueError:
        return ValueError(
            f"covariance must be positive definite, got {what}; pass shrinkage > 0 (towards the "
            "diagonal), or ridge > 0 where a feature never varies"
        )


def _forms(blocks: Tensor, vectors: Tensor) -> Tensor:
    forms: Tensor = torch.einsum("...ki,kij,...kj->...k", vectors, blocks, vectors)
    return forms


def _offsets(parts: Sequence[Tensor]) -> list[tuple[Tensor, int]]:
    starts, offset = [], 0
    for part in parts:
        starts.append((part, offset))
        offset += part.shape[0]
    return starts


def check_matrix(name: str, value: Tensor) -> Tensor:
    """Check that ``value`` is a finite float matrix."""
    check_tensor(name, value)
    check_dtype(name, value, (torch.float32, torch.float64))
    if value.dim() != 2 or 0 in value.shape:
        raise ValueError(f"{name} must be a matrix with entries, got shape {list(value.shape)}")
    check_finite(name, value)
    return value.detach()


def pivot_of(values: Tensor) -> float:
    """Return the least pivot of a matrix with entries of this precision."""
    return max(PIVOT, 16 * torch.finfo(values.dtype).eps)


def check_shrinkage(value: float) -> float:
    """Check a shrinkage intensity."""
    if not 0.0 <= check_number("shrinkage", value) <= 1.0:
        raise ValueError(f"shrinkage must be in [0, 1], got {value}")
    return float(value)


def check_ridge(value: float) -> float:
    """Check a ridge, a fraction of the mean variance."""
    if check_number("ridge", value) < 0.0:
        raise ValueError(f"ridge must not be negative, got {value}")
    return float(value)


def added_variance(variances: Tensor, shrinkage: float, ridge: float) -> Tensor:
    """Return what shrinkage and ridge add to the diagonal: ``a var_i + ridge * mean(var)``."""
    return check_shrinkage(shrinkage) * variances + check_ridge(ridge) * variances.mean()


def symmetric_root(matrix: Tensor, name: str = "covariance") -> Tensor:
    """Return ``R`` with ``R R' = matrix`` for a positive semi-definite matrix.

    Eigenvalues are used rather than a Cholesky factor, so that a singular matrix needs no ridge.
    """
    values, vectors = torch.linalg.eigh(matrix.double())
    floor = -1e-6 * values[-1]
    if values[0] < floor:
        raise ValueError(
            f"{name} must be positive semi-definite, got an eigenvalue {values[0].item():.3g} "
            f"beside a largest of {values[-1].item():.3g}"
        )
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root.to(matrix.dtype)
