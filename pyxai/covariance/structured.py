"""Covariances of signals: stationary (Toeplitz) and banded."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_finite, check_int, check_tensor
from pyxai.covariance.base import Covariance, check_shrinkage, symmetric_root

__all__ = ["BandedCovariance", "ToeplitzCovariance"]

MAX_DENSE_ROOT = 2048  # largest signal whose draws may come from a dense root


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

    Raises
    ------
    ValueError
        If ``autocovariance`` is no covariance function, or too long to draw from.
    """

    def __init__(
        self, autocovariance: Tensor, *, features: int | None = None, shrinkage: float = 0.0
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
        column[1:] *= 1 - check_shrinkage(shrinkage)
        self.column = column
        self._spectrum = _spectrum(self._ring(self.features))
        self._root_spectrum = self._draw_spectrum()
        self._root = None if self._root_spectrum is not None else self._dense_root()
        self.n_normals = (
            self.features if self._root_spectrum is None else 2 * (len(self._root_spectrum) - 1)
        )

    def _ring(self, zeros: int) -> Tensor:
        """Return the first column of a circulant matrix whose leading block is Sigma."""
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
            if not error > 1e-12 * r[0]:
                raise self._singular("a signal that its past determines")
        return forward / error

    def precision_diagonal(self) -> Tensor:
        """Return the diagonal of ``Sigma^-1`` (Gohberg-Semencul formula)."""
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

    def to(self, device: torch.device | str, dtype: torch.dtype) -> ToeplitzCovariance:
        """Return the same covariance elsewhere."""
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


class BandedCovariance(Covariance):
    """Band of a covariance: entries further from the diagonal than ``bandwidth`` are 0.

    Parameters
    ----------
    diagonals : Tensor, shape [bandwidth + 1, features]
        ``diagonals[k, i] = Sigma[i, i + k]``; the last ``k`` entries of row ``k`` are not read.
    shrinkage : float
        In [0, 1]: the off-diagonal entries are multiplied by ``1 - shrinkage``. Cutting a
        covariance to a band can cost it positive definiteness; shrinkage restores it.

    Notes
    -----
    Stored as tridiagonal blocks of the bandwidth's size: factor and solve cost
    O(features * bandwidth^2).
    """

    def __init__(self, diagonals: Tensor, *, shrinkage: float = 0.0) -> None:
        check_tensor("diagonals", diagonals)
        check_dtype("diagonals", diagonals, (torch.float32, torch.float64))
        if diagonals.dim() != 2 or diagonals.shape[0] > diagonals.shape[1]:
            raise ValueError(
                "diagonals must have shape [bandwidth + 1, features] with bandwidth < features, "
                f"got {list(diagonals.shape)}"
            )
        check_finite("diagonals", diagonals)
        bands = diagonals.detach().clone()
        bands[1:] *= 1 - check_shrinkage(shrinkage)
        for k in range(1, len(bands)):
            bands[k, bands.shape[1] - k :] = 0
        self.diagonals = bands
        self.features = self.n_normals = bands.shape[1]

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
        size = max(1, len(self.diagonals) - 1)
        count = -(-self.features // size)
        padded = torch.zeros(size + 1, count * size).to(self.diagonals.double())
        padded[0] = 1.0  # padding is an independent feature of variance 1
        padded[: len(self.diagonals), : self.features] = self.diagonals.double()
        lower, below = [], []
        previous = None
        for index in range(count):
            here, coupling = _block_pair(padded, index, size)
            if previous is not None:
                here = here - previous @ previous.T
            factor, info = torch.linalg.cholesky_ex(here)
            if int(info):
                raise self._singular(f"a band that is not, from feature {index * size} on")
            lower.append(factor)
            previous = torch.linalg.solve_triangular(factor, coupling, upper=False).T
            below.append(previous)
        return torch.stack(lower), torch.stack(below)

    def _pad(self, vectors: Tensor) -> Tensor:
        lower, _ = self._blocks
        count, size = lower.shape[:2]
        wide = torch.nn.functional.pad(vectors.double(), (0, count * size - self.features))
        return wide.reshape(*vectors.shape[:-1], count, size)

    def color(self, normals: Tensor) -> Tensor:
        """Return draws of covariance Sigma from the banded Cholesky factor."""
        lower, below = self._blocks
        z = self._pad(normals)
        draws = torch.einsum("kij,...kj->...ki", lower, z)
        draws[..., 1:, :] += torch.einsum("kij,...kj->...ki", below[:-1], z[..., :-1, :])
        return draws.flatten(-2)[..., : self.features].to(normals.dtype)

    def diagonal(self) -> Tensor:
        """Return the variances."""
        return self.diagonals[0]

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

    def to(self, device: torch.device | str, dtype: torch.dtype) -> BandedCovariance:
        """Return the same covariance elsewhere."""
        return BandedCovariance(self.diagonals.to(device, dtype))


def _block_pair(bands: Tensor, index: int, size: int) -> tuple[Tensor, Tensor]:
    """Return block ``index`` on the diagonal and the block to its right, ``Sigma[I, I + 1]``."""
    start = index * size
    i, j = torch.arange(size)[:, None], torch.arange(size)[None]
    gap = (j - i).abs()
    here = bands[gap, start + torch.minimum(i, j)]
    offset = j + size - i
    right = bands[offset.clamp(max=size), (start + i).expand(size, size)]
    return here, torch.where(offset <= size, right, torch.zeros_like(right))
