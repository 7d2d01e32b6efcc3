"""The terms of adaptive wavelet distillation, alone: for any loop that trains a filter."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pyxai._checks import FLOAT_DTYPES, check_dtype, check_int, check_tensor
from pyxai.ops import filter_bank

__all__ = ["CONSTRAINTS", "coefficient_l1", "reconstruction_loss", "wavelet_constraints"]

CONSTRAINTS = ("low_sum", "high_sum", "norm", "mirror", "shifts")


def wavelet_constraints(scaling: Tensor) -> dict[str, Tensor]:
    """Return how far a low-pass filter is from that of an orthogonal wavelet, five numbers.

    Parameters
    ----------
    scaling : Tensor, shape [n_taps]
        Low-pass filter h of an even number of taps; the high-pass is
        ``g[k] = (-1)**k * h[n_taps - 1 - k]``.

    Returns
    -------
    dict of str to Tensor
        Each 0 for an orthogonal wavelet, differentiable: ``"low_sum"``,
        ``(sum h - sqrt 2)**2 / 2``; ``"high_sum"``, ``(sum g)**2 / 2``; ``"norm"``,
        ``(sum h**2 - 1)**2 / 2``; ``"mirror"``, ``sum over k < n_taps / 2 of
        (|H[k]|**2 + |H[k + n_taps / 2]|**2 - 2)**2 / 2`` of the discrete Fourier transform H of h
        (conjugate mirror filters); ``"shifts"``, ``sum over j of
        (sum_m h[m] h[m + 2 j] - [j = 0])**2 / 2``.

    Raises
    ------
    ValueError
        If the number of taps is odd.
    TypeError
        If the filter is not a tensor of a floating dtype.

    References
    ----------
    .. [1] W. Ha et al., "Adaptive Wavelet Distillation from Neural Networks through
       Interpretations", NeurIPS 2021, section 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import wavelet_constraints
    >>> terms = wavelet_constraints(torch.ones(4) / 2)
    >>> {name: round(float(term), 4) for name, term in terms.items()}
    {'low_sum': 0.1716, 'high_sum': 0.0, 'norm': 0.0, 'mirror': 4.0, 'shifts': 0.25}
    """
    check_dtype("scaling", check_tensor("scaling", scaling), FLOAT_DTYPES)
    n_taps = scaling.shape[0] if scaling.dim() == 1 else 0
    if n_taps < 2 or n_taps % 2:
        raise ValueError(
            f"scaling must have an even number of taps, got a filter of shape {list(scaling.shape)}"
        )
    half, row = n_taps // 2, scaling[None, None]
    wide = scaling.to(torch.promote_types(scaling.dtype, torch.float32))
    spectrum = torch.view_as_real(torch.fft.fft(wide))
    energy = spectrum.square().sum(-1).view(2, half).sum(0)
    # <h, h shifted by 2 j>, j = 1 - half ... half - 1.
    products = functional.conv1d(row, row, stride=2, padding=n_taps - 2)[0, 0]
    norm = (products[half - 1] - 1).square() / 2
    return {
        "low_sum": (scaling.sum() - math.sqrt(2)).square() / 2,
        "high_sum": filter_bank(scaling)[1].sum().square() / 2,
        "norm": norm,
        "mirror": (energy - 2).square().sum() / 2,
        "shifts": products[: half - 1].square().sum() + norm,
    }


def reconstruction_loss(inputs: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the squared error of a reconstruction, summed over a batch, per example.

    Parameters
    ----------
    inputs, reconstruction : Tensor, shape [batch, *features]
        In input units.

    Returns
    -------
    Tensor, shape []
        In squared input units.
    """
    return (inputs - reconstruction).square().sum() / inputs.shape[0]


def coefficient_l1(coefficients: Tensor, level: int) -> Tensor:
    """Return the mean over scales of absolute coefficients, or of scores of them, per example.

    Parameters
    ----------
    coefficients : Tensor, shape [batch, ..., n_coefficients]
        Of a wavelet transform of ``level`` levels, or their attributions.
    level : int
        The scales are the approximation and the details of each level.

    Returns
    -------
    Tensor, shape []
        ``sum |coefficients| / (level + 1) / batch``.
    """
    return coefficients.abs().sum() / (check_int("level", level, minimum=1) + 1) / len(coefficients)
