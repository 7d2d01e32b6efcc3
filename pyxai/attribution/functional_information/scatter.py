"""Second moments of rows that arrive in batches (Chan's update), as much of them as is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Band", "Diagonal", "Full", "Lags", "Rows", "Scatter"]


class Scatter(ABC):
    """Mean and centred second moments, float64."""

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean = torch.zeros(features, dtype=torch.float64)
        self.total: Tensor | None = None

    @abstractmethod
    def moments(self, rows: Tensor) -> Tensor:
        """Return the sum over ``rows`` [n, features] of what is kept of ``x x'``."""

    def update(self, rows: Tensor) -> None:
        """Take in rows [n, features]."""
        rows = rows.double()
        count, mean = len(rows), rows.mean(0)
        shift, total = mean - self.mean, self.count + len(rows)
        # The mean's own move counts as one row of this weight.
        between = (self.count * count / total) ** 0.5 * shift
        found = self.moments(torch.cat([rows - mean, between[None]]))
        self.total = found if self.total is None else self.total + found
        self.mean += shift * count / total
        self.count = total

    def covariance(self) -> Tensor:
        """Return what is kept of the sample covariance."""
        assert self.total is not None
        return self.total / (self.count - 1)


class Full(Scatter):
    """All of it, [features, features]."""

    def moments(self, rows: Tensor) -> Tensor:
        """Return ``sum x x'``."""
        return rows.T @ rows


class Diagonal(Scatter):
    """The variances, [features]."""

    def moments(self, rows: Tensor) -> Tensor:
        """Return ``sum x_i^2``."""
        return rows.square().sum(0)


class Band(Scatter):
    """The diagonals up to ``bandwidth``, [bandwidth + 1, features], as `BandedCovariance` has."""

    def __init__(self, features: int, bandwidth: int) -> None:
        super().__init__(features)
        self.bandwidth = min(bandwidth, features - 1)

    def moments(self, rows: Tensor) -> Tensor:
        """Return ``sum x_i x_(i + k)`` for each k, 0 where ``i + k`` lies outside."""
        n = rows.shape[1]
        result = rows.new_zeros(self.bandwidth + 1, n)
        for k in range(self.bandwidth + 1):
            result[k, : n - k] = (rows[:, : n - k] * rows[:, k:]).sum(0)
        return result


class Lags(Scatter):
    """The mean of each diagonal, [features]: the autocovariance of a stationary signal.

    Sums are over the ``features - k`` pairs at lag k but divided by ``features``, which keeps the
    sequence positive semi-definite.
    """

    def moments(self, rows: Tensor) -> Tensor:
        """Return ``sum_i x_i x_(i + k) / features`` for each k."""
        n = rows.shape[1]
        spectrum = torch.fft.rfft(rows, n=2 * n).abs().square().sum(0)
        sums: Tensor = torch.fft.irfft(spectrum, n=2 * n)[:n]
        return sums / n


class Rows:
    """The first ``limit`` rows themselves."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.parts: list[Tensor] = []
        self.count = 0

    def update(self, rows: Tensor) -> None:
        """Take in rows [n, features]."""
        if self.limit is not None:
            rows = rows[: max(0, self.limit - self.count)]
        self.parts.append(rows.clone())
        self.count += len(rows)
