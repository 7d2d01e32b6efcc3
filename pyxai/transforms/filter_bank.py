"""One level of an orthogonal two-channel filter bank along the last dimension."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["MODES", "analyse_level", "filter_bank", "length_after", "synthesise_level"]

MODES = ("zero", "symmetric", "reflect", "periodic", "periodization")

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


def length_after(length: int, n_taps: int, mode: str) -> int:
    """Return how many coefficients of either kind a level makes of so many samples."""
    return (length + 1) // 2 if mode == "periodization" else (length + n_taps - 1) // 2


def analyse_level(signal: Tensor, bank: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Return low-pass and high-pass coefficients.

    ``low[k] = sum over i of h[i] * x[2 k + i - left]`` and the same with g, where ``left`` is
    ``n_taps - 2``, for periodization ``n_taps / 2 - 1``.

    Parameters
    ----------
    signal : Tensor, shape [..., length]
    bank : Tensor, shape [2, n_taps]
        Low-pass and high-pass.
    mode : str
        What stands beyond the ends; one of `MODES`.

    Returns
    -------
    tuple of Tensor, shape [..., length_after(length, n_taps, mode)]
    """
    length, n_taps = signal.shape[-1], bank.shape[1]
    count = length_after(length, n_taps, mode)
    left = _left(n_taps, mode)
    right = 2 * (count - 1) + n_taps - left - length
    extended = _extended(signal.reshape(-1, 1, length), left, right, mode)
    found = functional.conv1d(extended, bank[:, None], stride=2)  # [signals, 2, count]
    low, high = found.reshape(*signal.shape[:-1], 2, count).unbind(-2)
    return low, high


def synthesise_level(low: Tensor, high: Tensor, bank: Tensor, length: int, mode: str) -> Tensor:
    """Return the signal of ``length`` samples that a level's coefficients came from.

    Parameters
    ----------
    low, high : Tensor, shape [..., count]
        As `analyse_level` returns them.
    bank : Tensor, shape [2, n_taps]
        As for `analyse_level`.
    length : int
        Samples of the signal.
    mode : str
        As for `analyse_level`; all but periodization come back the same way.

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
