"""Values of the wrong kind, by what a right one is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what must not be accepted where ``value`` is, with a name for it."""
    if isinstance(value, bool):
        yield from (("a word", "no"), ("a number", 1))
    elif isinstance(value, int):
        yield from (("a word", "few"), ("a fraction", 1.5), ("a negative number", -7))
    elif isinstance(value, float):
        yield from (("a word", "much"), ("NaN", float("nan")))
    elif isinstance(value, str):
        yield "an unknown name", "no such name"
    elif isinstance(value, Tensor):
        yield "a word", "x"
        yield "complex numbers", value.to(torch.complex64)
        if value.is_floating_point():
            yield "NaN", torch.full_like(value, torch.nan)
