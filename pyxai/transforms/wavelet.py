"""The discrete wavelet transform of signals and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, describe
from pyxai.transforms.filter_bank import (
    MODES,
    analyse_level,
    filter_bank,
    length_after,
    synthesise_level,
)
from pyxai.transforms.filters import scaling_filters
from pyxai.transforms.fourier import format_sizes
from pyxai.transforms.transform import Transform

__all__ = ["WaveletTransform"]


class WaveletTransform(Transform):
    """Discrete wavelet transform by an orthogonal filter bank, of signals or images.

    The coefficients of all levels stand side by side in one dimension, in PyWavelets' order: the
    approximation, then the details from the coarsest level to the finest, for images of each level
    horizontal, vertical and diagonal. `unpack` gives them their shapes.

    Parameters
    ----------
    sizes : int or sequence of int
        Samples of a signal, or ``(height, width)`` of an image.
    wavelet : str or sequence of float
        ``"haar"``, ``"db1"`` to ``"db20"``, ``"sym2"`` to ``"sym20"``, ``"coif1"`` to ``"coif5"``,
        or a scaling filter, which is the reconstruction low-pass of PyWavelets.
    level : int, optional
        How often the approximation is divided; default: as often as it is longer than the filter,
        which is ``floor(log2(size / (n_taps - 1)))``.
    mode : "zero", "symmetric", "reflect", "periodic" or "periodization"
        What stands beyond the ends of a signal. The last makes no more coefficients than samples.

    Raises
    ------
    ValueError
        If the wavelet is not known, its filter has an odd number of taps, or a signal is shorter
        than the filter at one of the levels.
    TypeError
        If a size or the level is no integer.

    Notes
    -----
    Cost: for a signal ``2 * n_taps`` products a sample at most. A filter that is not orthogonal
    makes a lossy transform, which `TransformedModel` makes up for.

    References
    ----------
    .. [1] I. Daubechies, "Ten Lectures on Wavelets", SIAM, 1992, chapters 5 to 8.
    .. [2] S. Mallat, "A Theory for Multiresolution Signal Decomposition: The Wavelet
       Representation", IEEE TPAMI 11(7), 1989.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import WaveletTransform
    >>> haar = WaveletTransform(4, "haar", level=1)
    >>> (haar(torch.tensor([[1.0, 2.0, 3.0, 4.0]])) * 2**0.5).round()
    tensor([[ 3.,  7., -1., -1.]])
    """

    bank: Tensor

    def __init__(
        self,
        sizes: int | Sequence[int],
        wavelet: str | Sequence[float] = "db4",
        *,
        level: int | None = None,
        mode: str = "symmetric",
    ) -> None:
        super().__init__()
        self.input_sizes = format_sizes(sizes)
        self.mode = check_choice("mode", mode, MODES)
        self.register_buffer("bank", filter_bank(_scaling(wavelet)))
        self.level = self._level(level)
        self._lengths = [self.input_sizes]  # at level 0, 1, ...
        for number in range(self.level):
            self._check_length(number + 1, self._lengths[-1])
            after = tuple(length_after(n, self.n_taps, mode) for n in self._lengths[-1])
            self._lengths.append(after)
        details = 1 if len(self.input_sizes) == 1 else 3
        levels = range(self.level, 0, -1)
        self._bands = [(0, self._lengths[-1])]  # the level, 0 for the approximation; the sizes
        self._bands += [(each, self._lengths[each]) for each in levels for _ in range(details)]
        self.coefficient_sizes = (sum(math.prod(band) for _, band in self._bands),)

    @property
    def n_taps(self) -> int:
        """Length of the filters."""
        return int(self.bank.shape[1])

    def _level(self, level: int | None) -> int:
        if level is not None:
            return check_int("level", level, minimum=1)
        most = min(self.input_sizes) / (self.n_taps - 1)
        return max(1, int(math.log2(most)) if most >= 1 else 0)

    def _check_length(self, level: int, lengths: tuple[int, ...]) -> None:
        if min(lengths) < self.n_taps:
            raise ValueError(
                f"sizes must be at least {self.n_taps}, the taps of the filter, at every level, "
                f"got {min(lengths)} at level {level}"
            )

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the coefficients [batch, ..., n_coefficients]."""
        bank, approximation = self.bank.to(inputs), inputs
        bands: list[Tensor] = []
        for _ in range(self.level):
            approximation, *details = self._divide(approximation, bank)
            bands = details + bands
        n_sizes = len(self.input_sizes)
        return torch.cat([band.flatten(-n_sizes) for band in (approximation, *bands)], -1)

    def _divide(self, signal: Tensor, bank: Tensor) -> tuple[Tensor, ...]:
        low, high = analyse_level(signal, bank, self.mode)
        if len(self.input_sizes) == 1:
            return low, high
        (both, horizontal), (vertical, diagonal) = (
            tuple(each.mT for each in analyse_level(part.mT, bank, self.mode))
            for part in (low, high)
        )
        return both, horizontal, vertical, diagonal

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Return the signals [batch, ..., *sizes]."""
        bank = self.bank.to(coefficients)
        approximation, *details = self._split(coefficients)
        count = len(details) // self.level
        for number, lengths in enumerate(reversed(self._lengths[:-1])):
            given = details[number * count : (number + 1) * count]
            approximation = self._join(approximation, given, bank, lengths)
        return approximation

    def _join(
        self, approximation: Tensor, details: list[Tensor], bank: Tensor, lengths: tuple[int, ...]
    ) -> Tensor:
        def join(low: Tensor, high: Tensor, length: int) -> Tensor:
            return synthesise_level(low, high, bank, length, self.mode)

        if len(details) == 1:
            return join(approximation, details[0], lengths[0])
        horizontal, vertical, diagonal = details
        low = join(approximation.mT, horizontal.mT, lengths[0]).mT
        high = join(vertical.mT, diagonal.mT, lengths[0]).mT
        return join(low, high, lengths[1])

    def _split(self, coefficients: Tensor) -> list[Tensor]:
        counts = [math.prod(sizes) for _, sizes in self._bands]
        parts = torch.split(coefficients, counts, -1)
        return [
            part.reshape(*coefficients.shape[:-1], *sizes)
            for part, (_, sizes) in zip(parts, self._bands, strict=True)
        ]

    def unpack(self, coefficients: Tensor) -> list[Any]:
        """Return coefficients, or scores of them, in their shapes.

        Parameters
        ----------
        coefficients : Tensor, shape [..., n_coefficients]

        Returns
        -------
        list
            As ``pywt.wavedec`` and ``pywt.wavedec2``: the approximation, then the detail of each
            level from the coarsest, for images a tuple of horizontal, vertical and diagonal.

        Raises
        ------
        ValueError
            If the last size is another.
        """
        if coefficients.shape[-1:] != self.coefficient_sizes:
            raise ValueError(
                f"coefficients must have shape [..., {self.coefficient_sizes[0]}], "
                f"got {list(coefficients.shape)}"
            )
        approximation, *details = self._split(coefficients)
        if len(self.input_sizes) == 1:
            return [approximation, *details]
        triples = [tuple(details[i : i + 3]) for i in range(0, len(details), 3)]
        return [approximation, *triples]

    def bands(self) -> Tensor:
        """Return which band each coefficient belongs to, for ``groups`` of `trim`.

        Returns
        -------
        Tensor, shape [n_coefficients]
            int64: 0 for the approximation, then one number for each array of details in the order
            of `unpack`.
        """
        counts = torch.tensor([math.prod(sizes) for _, sizes in self._bands])
        return torch.arange(len(self._bands)).repeat_interleave(counts)

    def levels(self) -> Tensor:
        """Return which level each coefficient belongs to, for ``groups`` of `trim`.

        Returns
        -------
        Tensor, shape [n_coefficients]
            int64: 0 for the approximation, 1 for the coarsest details, ``level`` for the finest.
        """
        numbers = torch.tensor([self.level + 1 - each if each else 0 for each, _ in self._bands])
        return numbers[self.bands()]


def _scaling(wavelet: Any) -> Tensor:
    """Return a scaling filter, float64 [n_taps]."""
    known = scaling_filters()
    if isinstance(wavelet, str):
        check_choice("wavelet", wavelet, tuple(known))
        return torch.tensor(known[wavelet], dtype=torch.float64)
    if not isinstance(wavelet, (Sequence, Tensor)):
        raise TypeError(f"wavelet must be a name or a filter, got {describe(wavelet)}")
    given = torch.as_tensor(wavelet, dtype=torch.float64).detach()
    if given.dim() != 1 or len(given) < 2 or len(given) % 2:
        raise ValueError(
            f"wavelet must have an even number of taps, got a filter of shape {list(given.shape)}"
        )
    check_finite("wavelet", given)
    return given
