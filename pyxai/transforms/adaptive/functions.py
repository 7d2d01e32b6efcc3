"""The functions that a filter stands for, and how far two of them are apart."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.ops import filter_bank

__all__ = ["WaveletFunctions", "wavelet_distance", "wavelet_functions"]


class WaveletFunctions(NamedTuple):
    """A scaling function and its wavelet, sampled.

    Attributes
    ----------
    x : Tensor, shape [n_points]
        Positions from 0 to ``n_taps - 1``, ``2**-level`` apart.
    phi, psi : Tensor, shape [n_points]
        Scaling function and wavelet there, float64.
    """

    x: Tensor
    phi: Tensor
    psi: Tensor


def wavelet_functions(scaling: Tensor, level: int = 8) -> WaveletFunctions:
    """Return scaling function and wavelet of a filter, by the cascade algorithm.

    ``phi(x) = sqrt 2 * sum_k h[k] phi(2 x - k)``, from the unit pulse on, and
    ``psi(x) = sqrt 2 * sum_k g[k] phi(2 x - k)``.

    Parameters
    ----------
    scaling : Tensor, shape [n_taps]
        Low-pass filter h.
    level : int
        How often the equation is iterated.

    Returns
    -------
    WaveletFunctions

    References
    ----------
    .. [1] I. Daubechies, "Ten Lectures on Wavelets", SIAM, 1992, section 6.5.
    """
    check_int("level", level, minimum=1)
    low, high = filter_bank(scaling.detach().to("cpu", torch.float64))
    phi, psi = low, high
    for _ in range(level - 1):
        phi, psi = _refined(phi, low), _refined(psi, low)
    scale = math.sqrt(2) ** level
    x = torch.arange(len(phi), dtype=torch.float64) / 2**level
    return WaveletFunctions(x, phi * scale, psi * scale)


def _refined(values: Tensor, low: Tensor) -> Tensor:
    """Put zeros between values, and filter."""
    spread = values.new_zeros(2 * len(values) - 1)
    spread[::2] = values
    return torch.nn.functional.conv1d(
        spread[None, None], low.flip(0)[None, None], padding=len(low) - 1
    )[0, 0]


def wavelet_distance(scaling: Tensor, other: Tensor, level: int = 5) -> float:
    """Return the distance of two filters' wavelets, whatever their place and direction.

    Parameters
    ----------
    scaling, other : Tensor, shape [n_taps]
        Low-pass filters; their numbers of taps may differ.
    level : int
        Of the cascade, see `wavelet_functions`.

    Returns
    -------
    float
        Root of the sum of squared differences of sampled wavelets, the least over circular shifts
        and reversal of one. The wavelets have norm ``2**(level / 2)``.

    References
    ----------
    .. [1] W. Ha et al., "Adaptive Wavelet Distillation from Neural Networks through
       Interpretations", NeurIPS 2021, section 4.1.
    """
    one, two = (wavelet_functions(each, level).psi for each in (scaling, other))
    size = max(len(one), len(two))
    one, two = (torch.nn.functional.pad(each, (0, size - len(each))) for each in (one, two))
    spectrum = torch.fft.rfft(one)
    products = torch.stack(
        [
            torch.fft.irfft(spectrum * torch.fft.rfft(each).conj(), n=size)
            for each in (two, two.flip(0))
        ]
    )
    squares = one.square().sum() + two.square().sum() - 2 * products.max()
    return math.sqrt(max(float(squares), 0.0))
