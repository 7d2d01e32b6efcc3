"""Which values of a map are drawn, on which part of the scale, in which colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["SIGNS"]


class Sign(NamedTuple):
    """A choice of values; ``low`` and ``high`` are the ends of its scale in its largest value."""

    choose: Callable[[Any], Any]
    low: int
    high: int
    colours: str


SIGNS = {
    "all": Sign(lambda values: values, -1, 1, "RdBu_r"),
    "positive": Sign(lambda values: np.maximum(values, 0), 0, 1, "Reds"),
    "negative": Sign(lambda values: np.minimum(values, 0), -1, 0, "Blues_r"),
    "absolute": Sign(np.abs, 0, 1, "Purples"),
}
