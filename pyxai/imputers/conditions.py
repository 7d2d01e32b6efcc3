"""Normal distributions given some of their features: one factorised system for each mask."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["Conditions", "conditions"]

_ELEMENTS = 2**24  # of the systems that are solved at once


class Conditions:
    """A covariance given the present features, for each of some masks.

    Parameters
    ----------
    matrix : Tensor, shape [features, features]
        Covariance, float64.
    present : Tensor, shape [n_systems, features]
        bool.
    """

    def __init__(self, matrix: Tensor, present: Tensor) -> None:
        kept = present.double()
        # Absent features get a unit row, so that masks of all sizes are solved together.
        system = matrix * kept[:, :, None] * kept[:, None, :] + torch.diag_embed(1 - kept)
        self._matrix, self._kept = matrix, kept.unsqueeze(2)
        self._factor: Tensor = torch.linalg.cholesky(system)

    def moves(self, gaps: Tensor) -> Tensor:
        """Return ``C_ap C_pp^-1 gap_p`` at absent features and 0 at present ones.

        [n_systems, features, n] -> the same shape; gaps at absent features are not used.
        """
        solved: Tensor = torch.cholesky_solve(self._kept * gaps, self._factor)
        return (self._matrix @ solved) * (1 - self._kept)

    def log_density(self, gaps: Tensor) -> Tensor:
        """Return the log-density of the present features of deviations from the mean.

        [n_systems, features, n] -> [n_systems, n], in nats.
        """
        whitened = torch.linalg.solve_triangular(self._factor, self._kept * gaps, upper=False)
        log_root = self._factor.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)
        count = self._kept.sum(1)
        squares: Tensor = whitened.square().sum(1)
        return -0.5 * (squares + count * math.log(2 * math.pi)) - log_root


def conditions(matrix: Tensor, present: Tensor) -> Iterator[tuple[slice, Conditions]]:
    """Go through masks in parts whose systems fit into memory."""
    step = max(1, _ELEMENTS // matrix.numel())
    for first in range(0, len(present), step):
        part = slice(first, min(first + step, len(present)))
        yield part, Conditions(matrix, present[part])
