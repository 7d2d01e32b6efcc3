"""Covariance of a stationary signal."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_finite, check_int, check_tensor
from pyxai.covariance.base import (
    MAX_DENSE_ROOT,
    Covariance,
    added_variance,
    check_shrinkage,
    pivot_of,
    symmetric_root,
)

__all__ = ["ToeplitzCovariance"]


class ToeplitzCovariance(Covariance):
    """Stationary signal: ``Sigma[i, j] = r[|i - j|]``, products by FFT.

    Parameters
    ----------
    autocovariance : Tensor, shape [lags]
        ``r``, float32 or float64; lags beyond those given are 0.
    features : int, optional
        Length of the signal; default: ``lags``.
    shrinkage : float
        In [0, 1]: every ``r[k > 0]`` is multiplied by ``1 - shrinkage``.
    ridge : float
        This fraction of ``r[0]`` is added to it; not negative.

    Raises
    ------
    ValueError
        If ``autocovariance`` is no covariance function, or too long to draw from.
    """

    def __init__(
        self,
        autocovariance: Tensor,
        *,
        features: int | None = None,
        shrinkage: float = 0.0,
        ridge: float = 0.0,
    ) -> None:
        check_tensor("autocovariance", autocovariance)
        check_dtype("autocovariance", autocovariance, (torch.float32, torch.float64))
        if autocovariance.dim() != 1 or not len(autocovariance):
            raise ValueError(
                f"autocovariance must be a vector, got shape {list(autocovariance.shape)}"
            )
        check_finite("autocovariance", autocovariance)
        lags = len(autocovariance)
        self.features = lags if features is None else check_int("features", features, minimum=1)
        column = torch.zeros(self.features).to(autocovariance)
        shared = min(lags, self.features)
        column[:shared] = autocovariance.detach()[:shared]
        column *= 1 - check_shrinkage(shrinkage)
        column[:1] += added_variance(autocovariance.detach()[:1], shrinkage, ridge)
        self.column = column
        self._pivot = pivot_of(column)
        self._spectrum = _spectrum(self._ring(1))
        self._root_spectrum = self._draw_spectrum()
        self._root = None if self._root_spectrum is not None else self._dense_root()
        self.n_normals = (
            self.features if self._root_spectrum is None else 2 * (len(self._root_spectrum) - 1)
        )

    def _ring(self, zeros: int) -> Tensor:
        """Return the first column of a circulant matrix whose leading block is Sigma.

        Its size must be even, which ``2 * features - 1 + zeros`` is for an odd number of zeros:
        `_ring_product` reads the size off the spectrum. Without zeros the last lag stands once.
        """
        gap = self.column.new_zeros(zeros)
        return torch.cat([self.column, gap, self.column[1 : None if zeros else -1].flip(0)])

    def _draw_spectrum(self) -> Tensor | None:
        """Return the spectrum of the first positive semi-definite embedding, if there is one."""
        # Sizes are even: 2 * features - 2, then with zeros between the two flanks.
        sizes = [0] if self.features > 1 else []
        for zeros in [*sizes, 1, 2 * self.features + 1]:
            spectrum = _spectrum(self._ring(zeros))
            if spectrum.min() >= -1e-9 * spectrum.max():
                return spectrum.clamp(min=0)
        return None

    def _dense_root(self) -> Tensor:
        if self.features > MAX_DENSE_ROOT:
            raise ValueError(
                "autocovariance must have a non-negative spectrum when extended to a circle, got "
                "one that has not; let it decay to 0 within its lags or pass shrinkage > 0"
            )
        index = torch.arange(self.features)
        return symmetric_root(
            self.column[(index[:, None] - index).abs()], "matrix of the autocovariance"
        )

    def product(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma v``."""
        return _ring_product(vectors, self._spectrum)[..., : self.features]

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma by circulant embedding."""
        if self._root_spectrum is None:
            root = self._root
            assert root is not None
            return normals @ root.T
        return _ring_product(normals, self._root_spectrum.sqrt())[..., : self.features]

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return self.column[:1].expand(self.features)

    @cached_property
    def _first_inverse_column(self) -> Tensor:
        """``Sigma^-1 e_1`` by Levinson's recursion, O(features^2)."""
        r = self.column.double()
        forward = torch.zeros_like(r)
        error = r[0].clone()
        forward[0] = 1.0
        for n in range(1, self.features):
            reflection = (forward[:n] @ r[1 : n + 1].flip(0)) / error
            forward[: n + 1] = forward[: n + 1] - reflection * forward[: n + 1].flip(0)
            error = error * (1 - reflection**2)
            if not error > self._pivot * r[0]:
                raise self._singular("a signal that its past determines")
        return forward / error

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        # Gohberg-Semencul formula.
        x = self._first_inverse_column
        steps = x.square()
        steps[1:] -= x[1:].flip(0).square()
        return (steps.cumsum(0) / x[0]).to(self.column.dtype)

    def solve(self, vectors: Tensor) -> Tensor:
        """Return ``Sigma^-1 v`` (Gohberg-Semencul formula, products by FFT)."""
        x = self._first_inverse_column
        shifted = torch.cat([x.new_zeros(1), x[1:].flip(0)])
        v = vectors.double()
        first = _lower(x, _lower(x, v.flip(-1)).flip(-1))
        second = _lower(shifted, _lower(shifted, v.flip(-1)).flip(-1))
        return ((first - second) / x[0]).to(vectors.dtype)

    def _moved(self, device: torch.device, dtype: torch.dtype) -> ToeplitzCovariance:
        return ToeplitzCovariance(self.column.to(device, dtype))


def _spectrum(ring: Tensor) -> Tensor:
    """Return the eigenvalues of the circulant matrix with this first column."""
    values: Tensor = torch.fft.rfft(ring.double()).real
    return values.to(ring.dtype)


def _ring_product(vectors: Tensor, spectrum: Tensor) -> Tensor:
    size = 2 * (len(spectrum) - 1)
    result: Tensor = torch.fft.irfft(torch.fft.rfft(vectors, n=size) * spectrum, n=size)
    return result


def _lower(column: Tensor, vectors: Tensor) -> Tensor:
    """Product with the lower triangular Toeplitz matrix of this first column."""
    n = len(column)
    spectrum = torch.fft.rfft(column, n=2 * n)
    result: Tensor = torch.fft.irfft(torch.fft.rfft(vectors, n=2 * n) * spectrum, n=2 * n)
    return result[..., :n]
