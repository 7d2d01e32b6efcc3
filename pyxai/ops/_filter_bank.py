"""A two-channel filter bank in plain torch: sizes, one level, all levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["WAVELET_MODES", "WaveletBands", "analyse", "filter_bank", "synthesise", "wavelet_bands"]

WAVELET_MODES = ("zero", "symmetric", "reflect", "periodic", "periodization")

# Where a sample beyond the ends is taken from: (place, length) -> place inside.
_EXTENSIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "symmetric": lambda i, n: _mirrored(i.remainder(2 * n), 2 * n - 1),
    "reflect": lambda i, n: _mirrored(i.remainder(2 * n - 2), 2 * n - 2),
    "periodic": lambda i, n: i.remainder(n),
    # An odd signal gets its last sample twice.
    "periodization": lambda i, n: i.remainder(n + n % 2).clamp(max=n - 1),
}


def _mirrored(place: Tensor, last: int) -> Tensor:
    return torch.minimum(place, last - place)


def filter_bank(scaling: Tensor) -> Tensor:
    """Return low-pass and high-pass filter of a bank, [2, n_taps].

    The high-pass is ``g[k] = (-1)**k * h[n_taps - 1 - k]``.
    """
    signs = torch.ones_like(scaling)
    signs[1::2] = -1
    return torch.stack([scaling, signs * scaling.flip(0)])


@dataclass(frozen=True)
class WaveletBands:
    """What a transform makes of a signal or an image.

    Attributes
    ----------
    lengths : tuple of tuple of int
        Sizes of the approximation at level 0 (the signal), 1, ...
    bands : tuple of (int, tuple of int)
        Of each array of coefficients, in their order, the level and the sizes: the approximation,
        as level 0, then the details from the coarsest level.
    """

    lengths: tuple[tuple[int, ...], ...]
    bands: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def level(self) -> int:
        """How often the approximation is divided."""
        return len(self.lengths) - 1

    @property
    def counts(self) -> list[int]:
        """Number of coefficients of each band."""
        return [math.prod(sizes) for _, sizes in self.bands]

    def split(self, coefficients: Tensor) -> list[Tensor]:
        """Return coefficients [..., n_coefficients] band by band, in their shapes."""
        parts = torch.split(coefficients, self.counts, -1)
        return [
            part.reshape(*coefficients.shape[:-1], *sizes)
            for part, (_, sizes) in zip(parts, self.bands, strict=True)
        ]


def wavelet_bands(
    sizes: tuple[int, ...], n_taps: int, level: int, mode: str, name: str = "sizes"
) -> WaveletBands:
    """Return the bands of signals of one or two sizes.

    Parameters
    ----------
    sizes : tuple of int
        Of a signal or an image.
    n_taps : int
        Length of the filters.
    level : int
        How often the approximation is divided.
    mode : str
        One of `WAVELET_MODES`.
    name : str
        What to call the sizes in an error.

    Raises
    ------
    ValueError
        If a size is less than the number of taps at one of the levels.
    """
    lengths = [sizes]
    for number in range(1, level + 1):
        if min(lengths[-1]) < n_taps:
            raise ValueError(
                f"{name} must be at least {n_taps}, the taps of the filter, at every level, "
                f"got {min(lengths[-1])} at level {number}"
            )
        lengths.append(tuple(_length_after(n, n_taps, mode) for n in lengths[-1]))
    details = 1 if len(sizes) == 1 else 3
    bands = [(each, lengths[each]) for each in range(level, 0, -1) for _ in range(details)]
    return WaveletBands(tuple(lengths), ((0, lengths[-1]), *bands))


def analyse(signals: Tensor, bank: Tensor, level: int, mode: str, n_dims: int) -> Tensor:
    """Return the coefficients of all levels, [..., n_coefficients]; see `pyxai.ops.dwt`."""
    approximation, bands = signals, list[Tensor]()
    for _ in range(level):
        low, high = _analyse_level(approximation, bank, mode)
        if n_dims == 1:
            approximation, details = low, [high]
        else:
            (approximation, horizontal), (vertical, diagonal) = (
                tuple(each.mT for each in _analyse_level(part.mT, bank, mode))
                for part in (low, high)
            )
            details = [horizontal, vertical, diagonal]
        bands = details + bands
    return torch.cat([band.flatten(-n_dims) for band in (approximation, *bands)], -1)


def synthesise(coefficients: Tensor, bank: Tensor, shape: WaveletBands, mode: str) -> Tensor:
    """Return the signals of coefficients, [..., *sizes]; see `pyxai.ops.idwt`."""

    def join(low: Tensor, high: Tensor, length: int) -> Tensor:
        return _synthesise_level(low, high, bank, length, mode)

    approximation, *details = shape.split(coefficients)
    for lengths in reversed(shape.lengths[:-1]):
        if len(lengths) == 1:
            high, *details = details
            approximation = join(approximation, high, lengths[0])
        else:
            horizontal, vertical, diagonal, *details = details
            low = join(approximation.mT, horizontal.mT, lengths[0]).mT
            high = join(vertical.mT, diagonal.mT, lengths[0]).mT
            approximation = join(low, high, lengths[1])
    return approximation


def _length_after(length: int, n_taps: int, mode: str) -> int:
    return (length + 1) // 2 if mode == "periodization" else (length + n_taps - 1) // 2


def _analyse_level(signal: Tensor, bank: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Return low-pass and high-pass coefficients.

    ``low[k] = sum over i of h[i] * x[2 k + i - left]`` and the same with g, where ``left`` is
    ``n_taps - 2``, for periodization ``n_taps / 2 - 1``.

    Parameters
    ----------
    signal : Tensor, shape [..., length]
    bank : Tensor, shape [2, n_taps]
        Low-pass and high-pass.
    mode : str
        What stands beyond the ends; one of `WAVELET_MODES`.

    Returns
    -------
    tuple of Tensor, shape [..., count]
    """
    length, n_taps = signal.shape[-1], bank.shape[1]
    count = _length_after(length, n_taps, mode)
    left = _left(n_taps, mode)
    right = 2 * (count - 1) + n_taps - left - length
    extended = _extended(signal.reshape(-1, 1, length), left, right, mode)
    found = functional.conv1d(extended, bank[:, None], stride=2)  # [signals, 2, count]
    low, high = found.reshape(*signal.shape[:-1], 2, count).unbind(-2)
    return low, high


def _synthesise_level(low: Tensor, high: Tensor, bank: Tensor, length: int, mode: str) -> Tensor:
    """Return the signal of ``length`` samples that a level's coefficients came from.

    Parameters
    ----------
    low, high : Tensor, shape [..., count]
        As `_analyse_level` returns them.
    bank : Tensor, shape [2, n_taps]
        As for `_analyse_level`.
    length : int
        Samples of the signal.
    mode : str
        As for `_analyse_level`; all but periodization come back the same way.

    Returns
    -------
    Tensor, shape [..., length]
    """
    n_taps = bank.shape[1]
    pairs = torch.stack([low, high], -2)
    flat = pairs.reshape(-1, 2, low.shape[-1])
    full = functional.conv_transpose1d(flat, bank[:, None], stride=2)[:, 0]
    left = _left(n_taps, mode)
    if mode == "periodization":
        full = _wrapped(full, left, length + length % 2)
        left = 0
    return full[:, left : left + length].reshape(*low.shape[:-1], length)


def _left(n_taps: int, mode: str) -> int:
    """Return how many samples before the first the first coefficient sees."""
    return n_taps // 2 - 1 if mode == "periodization" else n_taps - 2


def _extended(signal: Tensor, left: int, right: int, mode: str) -> Tensor:
    if mode == "zero":
        return functional.pad(signal, (left, right))
    length = signal.shape[-1]
    places = torch.arange(-left, length + right, device=signal.device)
    return signal.index_select(-1, _EXTENSIONS[mode](places, length))


def _wrapped(full: Tensor, left: int, period: int) -> Tensor:
    """Add what lies beyond a period to its other end."""
    inside = full[:, left : left + period]
    if left == 0:
        return inside
    before, after = full[:, :left], full[:, left + period :]
    return (
        inside
        + functional.pad(before, (period - left, 0))
        + functional.pad(after, (0, period - after.shape[1]))
    )
