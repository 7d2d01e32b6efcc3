"""Colours of attributions, and what can be read on them; no matplotlib, for pages need them too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["NEGATIVE", "POSITIVE", "contrast", "hexadecimal", "ink", "shade"]

# The ends of matplotlib's "RdBu_r", the diverging map of the heatmaps: readable with red-green
# colour blindness, and in print.
POSITIVE, NEGATIVE = "#b2182b", "#2166ac"
# What lies between them, from -1 to 1, so that a page has the colours of the pictures.
_MIDDLE = "#4393c3 #92c5de #d1e5f0 #f7f7f7 #fddbc7 #f4a582 #d6604d"
_SCALE = [NEGATIVE, *_MIDDLE.split(), POSITIVE]
_TABLE = np.array([[int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)] for code in _SCALE])


def shade(share: float) -> tuple[float, float, float]:
    """Return red, green and blue, from 0 to 1, of a share of the scale from -1 to 1."""
    places = np.linspace(-1, 1, len(_TABLE))
    red, green, blue = (float(np.interp(share, places, column)) for column in _TABLE.T)
    return red, green, blue


def hexadecimal(colour: Sequence[float]) -> str:
    """Return a colour as pages write it."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def ink(colour: Sequence[float]) -> str:
    """Return black or white, whichever can be read better on a colour.

    The better one has a contrast of at least 4.58 with any colour, where WCAG 2 asks for 4.5.
    """
    black, white = contrast(colour, (0, 0, 0)), contrast(colour, (1, 1, 1))
    return "#000000" if black >= white else "#ffffff"


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the contrast ratio of two colours, from 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    parts = np.asarray(colour[:3], dtype=float)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
