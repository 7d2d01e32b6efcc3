"""Numbers and names as a reader meets them in prints and pictures."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["number", "rounding", "shortened"]


def number(value: float, form: str, zero: float = 0.0) -> str:
    """Write a number; one that is not larger than ``zero`` as 0, without a sign."""
    return "0" if abs(value) <= zero else format(value, form)


def rounding(*tensors: Tensor) -> float:
    """Return the size up to which a number among others is what rounding leaves of a zero.

    A few units in the last place of the largest of them.
    """
    ends = [
        float(each.detach().abs().nan_to_num(0.0, 0.0, 0.0).max()) * torch.finfo(each.dtype).eps
        for each in tensors
        if each.numel() and each.is_floating_point()
    ]
    return 4 * max(ends, default=0.0)


def shortened(text: str, width: int = 48) -> str:
    """Return a text in one line of at most ``width`` characters: of a long one both ends."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    kept = width - 1
    return f"{text[: kept - kept // 3]}…{text[-(kept // 3) :]}"
