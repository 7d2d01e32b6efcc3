"""The discrete Fourier transform of signals and images, and its bands of frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_int, check_number, describe
from pyxai.transforms.transform import Transform

__all__ = ["FourierTransform", "format_sizes"]


class FourierTransform(Transform):
    """Discrete Fourier transform of signals or images, in pairs of real numbers.

    ``s[k] = sum over t of x[t] * exp(-2 pi i k t / n)``, over each of the last one or two
    dimensions; ``inverse`` divides by their sizes. A coefficient is carried as its real and its
    imaginary part, in a last dimension of 2, so that every method sees real numbers.

    Parameters
    ----------
    sizes : int or sequence of int
        ``n`` samples of a signal, or ``(height, width)`` of an image.
    onesided : bool
        Whether only frequencies from 0 up are kept in the last dimension: ``n // 2 + 1``
        coefficients, which determine a real signal. Otherwise all n are, and the inverse takes the
        real part.

    Raises
    ------
    ValueError
        If there are not one or two sizes of at least 1.
    TypeError
        If a size is no integer, or ``onesided`` no bool.

    Notes
    -----
    Cost: that of the fast Fourier transform. Where a model is traced or compiled, the inverse is a
    product with the matrix of each dimension instead: the rules of LRP and DeepLIFT are for real
    numbers.

    References
    ----------
    .. [1] C. Singh et al., "Transformation Importance with Applications to Cosmology", 2020.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import FourierTransform
    >>> fourier = FourierTransform(4)
    >>> fourier(torch.tensor([[1.0, 0.0, -1.0, 0.0]]))[0, 1]  # one cycle over the signal
    tensor([2., 0.])
    """

    pairs = True

    def __init__(self, sizes: int | Sequence[int], *, onesided: bool = True) -> None:
        super().__init__()
        self.input_sizes = format_sizes(sizes)
        self.onesided = check_bool("onesided", onesided)
        self._dims = tuple(range(-len(self.input_sizes), 0))
        *others, last = self.input_sizes
        self.coefficient_sizes = (*others, last // 2 + 1 if self.onesided else last, 2)

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the coefficients [batch, ..., *frequencies, 2]."""
        transform = torch.fft.rfftn if self.onesided else torch.fft.fftn
        return torch.view_as_real(transform(inputs, dim=self._dims))

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Return the signals [batch, ..., *sizes]."""
        if torch.compiler.is_compiling():
            return self._by_matrices(coefficients)
        values = torch.view_as_complex(coefficients.contiguous())
        if self.onesided:
            found: Tensor = torch.fft.irfftn(values, s=self.input_sizes, dim=self._dims)
        else:
            found = torch.fft.ifftn(values, dim=self._dims).real
        return found

    def _by_matrices(self, coefficients: Tensor) -> Tensor:
        values = coefficients
        if len(self.input_sizes) == 2:
            values = values.transpose(-3, -2)  # [..., columns, rows, 2]
            values = values.flatten(-2) @ _complex_matrix(self.input_sizes[0], values)
            values = values.reshape(*values.shape[:-1], self.input_sizes[0], 2).transpose(-3, -2)
        return values.flatten(-2) @ _real_matrix(self.input_sizes[-1], self.onesided, values)

    def frequencies(self) -> Tensor:
        """Return the distance of each coefficient from frequency 0, as a share of the highest.

        Returns
        -------
        Tensor, shape of the coefficients of one example without the pairs
            float64 between 0 and 1, for images between 0 and the root of 2: ``abs(fftfreq(n)) /
            max(abs(fftfreq(n)))`` along each dimension, and the root of the sum of their squares.
        """
        *others, last = self.input_sizes
        squares = _relative(last, self.onesided).square()
        for size in others:
            squares = _relative(size, False).square()[:, None] + squares
        return squares.sqrt()

    def bands(self, edges: int | Sequence[float]) -> Tensor:
        """Return which band of frequencies each number belongs to, for ``groups`` of `trim`.

        Parameters
        ----------
        edges : int or sequence of float
            Ascending bounds: band i holds what `frequencies` puts in ``[edges[i], edges[i + 1])``,
            rings in the plane of an image. A number stands for so many bands of equal width from 0
            to the highest frequency, which is in the last.

        Returns
        -------
        Tensor, shape of the coefficients of one example
            int64: number of the band, and one more than the last for what is in none.

        Raises
        ------
        ValueError
            If there are fewer than two edges, they do not ascend, or a band holds nothing.
        TypeError
            If an edge is no number.
        """
        bounds = torch.tensor(self._bounds(edges), dtype=torch.float64)
        radii, n_bands = self.frequencies(), len(bounds) - 1
        found = torch.bucketize(radii, bounds, right=True) - 1
        found = found.masked_fill((found < 0) | (found >= n_bands), n_bands)
        counts = found.flatten().bincount(minlength=n_bands)[:n_bands]
        if bool((counts == 0).any()):
            empty = int((counts == 0).nonzero()[0])
            raise ValueError(
                f"edges must leave a coefficient in every band, got none in band {empty} of "
                f"{n_bands}"
            )
        return found[..., None].expand(*found.shape, 2).clone()

    def _bounds(self, edges: Any) -> list[float]:
        if isinstance(edges, Integral):
            count = check_int("edges", edges, minimum=1)
            top = float(self.frequencies().max())
            bounds = [top * number / count for number in range(count)]
            return [*bounds, math.inf]
        if not isinstance(edges, (Sequence, Tensor)) or isinstance(edges, str):
            raise TypeError(f"edges must be an integer or numbers, got {describe(edges)}")
        bounds = [check_number("edges", float(edge)) for edge in edges]
        if len(bounds) < 2 or any(b <= a for a, b in pairwise(bounds)):
            raise ValueError(f"edges must be two or more ascending numbers, got {bounds}")
        return bounds

    def coefficients_as_groups(self) -> Tensor:
        """Return a group for each complex coefficient, for ``groups`` of `trim`.

        Methods that remove features then remove both parts of a coefficient at once.

        Returns
        -------
        Tensor, shape of the coefficients of one example
            int64, numbered in the order of the coefficients.
        """
        counts = self.coefficient_sizes[:-1]
        found = torch.arange(math.prod(counts)).view(*counts, 1)
        return found.expand(*counts, 2).clone()


def format_sizes(sizes: Any) -> tuple[int, ...]:
    """Return one or two sizes of the last dimensions.

    Raises
    ------
    ValueError
        If there are not one or two, of at least 1.
    TypeError
        If one is no integer.
    """
    given = tuple(sizes) if isinstance(sizes, (tuple, list, torch.Size)) else (sizes,)
    if len(given) not in (1, 2):
        raise ValueError(f"sizes must be one number or two, got {describe(sizes)}")
    return tuple(check_int("sizes", size, minimum=1) for size in given)


def _relative(size: int, onesided: bool) -> Tensor:
    """Return the frequencies of a dimension as shares of the highest, without signs."""
    steps = torch.arange(size, dtype=torch.float64)
    steps = torch.minimum(steps, size - steps)
    return (steps[: size // 2 + 1] if onesided else steps) / max(size // 2, 1)


def _angles(size: int, rows: int, like: Tensor) -> Tensor:
    """Return 2 pi k t / size for k below ``rows``, [rows, size]; reduced before it is rounded."""
    k = torch.arange(rows, device=like.device)
    t = torch.arange(size, device=like.device)
    return torch.outer(k, t).remainder(size).to(torch.float64) * (2 * math.pi / size)


def _complex_matrix(size: int, like: Tensor) -> Tensor:
    """Return the inverse transform of pairs, [2 * size, 2 * size]."""
    angles = _angles(size, size, like)
    cos, sin = angles.cos() / size, angles.sin() / size
    real, imaginary = torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)
    return torch.stack([real, imaginary], 1).flatten(2).flatten(0, 1).to(like.dtype)


def _real_matrix(size: int, onesided: bool, like: Tensor) -> Tensor:
    """Return the real part of the inverse transform of pairs, [2 * frequencies, size]."""
    rows = size // 2 + 1 if onesided else size
    angles = _angles(size, rows, like)
    numbers = torch.arange(rows, device=like.device)
    # A frequency between 0 and the highest stands for its negative too.
    alone = (numbers == 0) | (2 * numbers == size) | (not onesided)
    share = torch.where(alone, 1.0, 2.0)[:, None].to(torch.float64) / size
    parts = torch.stack([share * angles.cos(), -share * angles.sin()], 1)
    return parts.flatten(0, 1).to(like.dtype)
