"""The discrete wavelet transform of signals and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, describe
from pyxai.ops import WAVELET_MODES, dwt, filter_bank, idwt, wavelet_bands
from pyxai.transforms.filters import scaling_filters
from pyxai.transforms.fourier import format_sizes
from pyxai.transforms.transform import Transform

__all__ = ["WaveletTransform", "scaling_filter"]


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
        self.mode = check_choice("mode", mode, WAVELET_MODES)
        self.register_buffer("bank", filter_bank(scaling_filter(wavelet)))
        self.level = self._level(level)
        self._shape = wavelet_bands(self.input_sizes, self.n_taps, self.level, mode)
        self.coefficient_sizes = (sum(self._shape.counts),)

    @property
    def n_taps(self) -> int:
        """Length of the filters."""
        return int(self.bank.shape[1])

    def _level(self, level: int | None) -> int:
        if level is not None:
            return check_int("level", level, minimum=1)
        most = min(self.input_sizes) / (self.n_taps - 1)
        return max(1, int(math.log2(most)) if most >= 1 else 0)

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the coefficients [batch, ..., n_coefficients]."""
        n_dims = len(self.input_sizes)
        return dwt(inputs, self.bank.to(inputs), level=self.level, mode=self.mode, n_dims=n_dims)

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Return the signals [batch, ..., *sizes]."""
        bank = self.bank.to(coefficients)
        return idwt(coefficients, bank, sizes=self.input_sizes, level=self.level, mode=self.mode)

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
        approximation, *details = self._shape.split(coefficients)
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
        counts = torch.tensor(self._shape.counts)
        return torch.arange(len(counts)).repeat_interleave(counts)

    def levels(self) -> Tensor:
        """Return which level each coefficient belongs to, for ``groups`` of `trim`.

        Returns
        -------
        Tensor, shape [n_coefficients]
            int64: 0 for the approximation, 1 for the coarsest details, ``level`` for the finest.
        """
        numbers = [self.level + 1 - each if each else 0 for each, _ in self._shape.bands]
        return torch.tensor(numbers)[self.bands()]


def scaling_filter(wavelet: Any) -> Tensor:
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
