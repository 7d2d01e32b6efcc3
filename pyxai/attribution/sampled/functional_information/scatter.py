"""Second moments of rows that arrive in batches (Chan's update), as much of them as is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pyxai.ops import philox_uniform

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
    """At most ``limit`` of the rows themselves, each as likely as any other.

    Row k has a random key of its own, and those of the smallest keys are kept: which ones they are
    does not depend on the batches that they came in.
    """

    def __init__(self, limit: int | None, seed: int) -> None:
        self.limit, self.seed = limit, seed
        self.count = 0
        self.parts: list[Tensor] = []
        self.keys = torch.empty(0, dtype=torch.float64)
        self.order = torch.empty(0, dtype=torch.int64)  # which row each one kept is

    def update(self, rows: Tensor) -> None:
        """Take in rows [n, features]."""
        order = torch.arange(self.count, self.count + len(rows))
        self.count += len(rows)
        if self.limit is None:
            self.parts.append(rows.clone())
            return
        keys = self._keys(order)
        free = self.limit - len(self.keys)
        if free > 0:
            self.parts.append(rows[:free].clone())
            self.keys = torch.cat([self.keys, keys[:free]])
            self.order = torch.cat([self.order, order[:free]])
        if len(rows) > free:
            self._replace(rows[free:], keys[free:], order[free:])

    def rows(self) -> Tensor:
        """Return the rows kept, in the order in which they came."""
        kept = torch.cat(self.parts)
        whole = self.limit is None or self.count <= self.limit
        return kept if whole else kept[self.order.argsort()]

    def _keys(self, order: Tensor) -> Tensor:
        one = torch.zeros(1, dtype=torch.int64)
        start, size = int(order[0]), len(order)
        drawn = philox_uniform(
            (1,), size, seed=self.seed, example_ids=one, start=start, dtype=torch.float64
        )
        return drawn.view(size)

    def _replace(self, rows: Tensor, keys: Tensor, order: Tensor) -> None:
        """Put rows with smaller keys in the place of those with the largest."""
        size = len(self.keys)
        chosen = torch.zeros(size + len(keys), dtype=torch.bool)
        chosen[torch.cat([self.keys, keys]).topk(size, largest=False).indices] = True
        gone, come = (~chosen[:size]).nonzero()[:, 0], chosen[size:].nonzero()[:, 0]
        self.parts = [torch.cat(self.parts)] if len(self.parts) > 1 else self.parts
        for kept, new in ((self.parts[0], rows), (self.keys, keys), (self.order, order)):
            kept[gone] = new[come].to(kept.dtype)
