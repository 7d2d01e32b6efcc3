"""How numbers are written in reports."""

from __future__ import annotations

import math

__all__ = ["format_number", "format_seconds"]


def format_number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits, without an exponent where that is short.

    Parameters
    ----------
    value : float
        Any number; NaN and infinities are written as words.
    digits : int
        Significant digits.

    Returns
    -------
    str
        For example ``"0"``, ``"1,797"``, ``"0.0312"`` or ``"2.1e-07"``.
    """
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def format_seconds(seconds: float) -> str:
    """Write a duration in the unit that suits it.

    Parameters
    ----------
    seconds : float
        Duration in seconds, not negative.

    Returns
    -------
    str
        For example ``"830 µs"``, ``"12 ms"``, ``"1.4 s"`` or ``"2 min 5 s"``.
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.{0 if seconds >= 0.01 else 1}f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
