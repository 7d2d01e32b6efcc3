"""The form of inputs that are images."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._inputs import format_inputs

__all__ = ["format_images"]


def format_images(inputs: Any) -> tuple[Tensor, bool]:
    """Return images [batch, channels, height, width], and whether they came in a tuple.

    Raises ``ValueError`` for other shapes, and what `format_inputs` raises.
    """
    tensors, is_tuple = format_inputs(inputs, gradients=True)
    if len(tensors) != 1 or tensors[0].dim() != 4:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        raise ValueError(
            f"inputs must be images of shape [batch, channels, height, width], got {shapes}"
        )
    return tensors[0], is_tuple
