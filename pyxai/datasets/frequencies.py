"""Signals whose label is made by one of their frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.datasets.simulated import normal_rows, uniform_rows

__all__ = ["Signals", "simulated_frequencies"]


@dataclass(frozen=True)
class Signals:
    """Signals and the frequency that decides.

    Attributes
    ----------
    inputs : Tensor, shape [rows, length]
    labels : Tensor, shape [rows]
        int64, 0 or 1.
    truth : Tensor, shape [length // 2 + 1]
        bool: the coefficient of ``torch.fft.rfft`` that decides.
    """

    inputs: Tensor
    labels: Tensor
    truth: Tensor


def simulated_frequencies(
    n_rows: int = 50_000,
    length: int = 100,
    frequency: int = 12,
    seed: int = 0,
    *,
    law: str = "normal",
    dtype: torch.dtype = torch.float32,
) -> Signals:
    """Simulate white noise whose class is whether one Fourier coefficient is large.

    ``y = 1`` where ``|rfft(x)[frequency]|`` is above its median over the rows.

    Parameters
    ----------
    n_rows : int
        How many signals.
    length : int
        Of a signal.
    frequency : int
        Which coefficient decides, from 0 to ``length // 2``.
    seed : int
        Of the noise.
    law : str
        ``"normal"``, or ``"uniform"`` on [0, 1).
    dtype : torch.dtype
        Of the signals.

    Returns
    -------
    Signals

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    .. [1] C. Singh, W. Ha, F. Lanusse, V. Boehm, J. Liu, B. Yu, "Transformation Importance with
       Applications to Cosmology", 2020, section 4 (simulation).

    Examples
    --------
    >>> from pyxai.datasets import simulated_frequencies
    >>> simulated_frequencies(10).labels.sum()
    tensor(5)
    """
    check_int("length", length, minimum=2)
    check_int("frequency", frequency, minimum=0)
    if frequency > length // 2:
        raise ValueError(f"frequency must be at most {length // 2}, got {frequency}")
    if check_choice("law", law, ("normal", "uniform")) == "normal":
        x = normal_rows(n_rows, (length,), seed, dtype=dtype)
    else:
        x = uniform_rows(n_rows, (length,), seed).to(dtype)
    size = torch.fft.rfft(x.double()).abs()[:, frequency]
    truth = torch.zeros(length // 2 + 1, dtype=torch.bool)
    truth[frequency] = True
    return Signals(x, (size > size.median()).long(), truth)
