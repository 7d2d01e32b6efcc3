"""Layers that give tokens or put their channels last, as maps with the channels in dimension 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, check_tensor, describe
from pyxai._errors import warn

__all__ = ["Layout", "as_maps", "check_layout", "warn_of_tokens"]

Layout = str | Callable[[Tensor], Tensor] | None
"""What brings a layer's tensor, channels last, to [batch, channels, *positions]."""

LAYOUTS = ("channels_last", "token_grid")
# Tokens before those of the grid: of the class, of distillation, four registers.
_LEADING = (0, 1, 2, 5)


def check_layout(name: str, layout: Layout) -> None:
    """Raise unless a layout is None, one of the names, or can be called."""
    if isinstance(layout, str):
        check_choice(name, layout, LAYOUTS)
    elif layout is not None and not callable(layout):
        raise TypeError(
            f"{name} must be a function or one of {', '.join(map(repr, LAYOUTS))}, "
            f"got {describe(layout)}"
        )


def as_maps(name: str, layout: Layout, value: Tensor) -> Tensor:
    """Bring a layer's tensor, or the gradient with respect to it, to [batch, channels, *positions].

    Parameters
    ----------
    name : str
        Of the argument that holds the layout, for messages.
    layout : str, callable or None
        ``"channels_last"``: dimension 1 is the last one. ``"token_grid"``: [batch, tokens,
        channels], of which the last tokens fill a square and 1, 2 or 5 before it are left out. A
        function does as it likes. None: as it is.
    value : Tensor, shape [batch, ...]
        In any unit.

    Returns
    -------
    Tensor, shape [batch, channels, *positions]

    Raises
    ------
    ValueError
        If the tensor does not have the form that the layout asks for, or a function returns
        another number of rows or less than three dimensions.
    TypeError
        If a function returns no tensor.
    """
    if layout is None:
        return value
    if callable(layout):
        maps = check_tensor(f"what {name} returns", layout(value))
        if maps.dim() < 3 or len(maps) != len(value):
            raise ValueError(
                f"{name} must return [{len(value)}, channels, *positions], got {list(maps.shape)} "
                f"for {list(value.shape)}"
            )
        return maps
    if layout == "channels_last":
        if value.dim() < 3:
            raise ValueError(
                f"{name} must be None for a layer without positions, got 'channels_last' for "
                f"{list(value.shape)}"
            )
        return value.movedim(-1, 1)
    if value.dim() != 3:
        raise ValueError(
            f"{name} must be 'token_grid' for [batch, tokens, channels] only, got it for "
            f"{list(value.shape)}"
        )
    side = math.isqrt(value.shape[1])
    if value.shape[1] - side * side not in _LEADING:
        raise ValueError(
            f"{name} must be a function where the tokens fill no square behind 0, 1, 2 or 5 "
            f"others, got 'token_grid' for {value.shape[1]} tokens"
        )
    grid = value[:, value.shape[1] - side * side :]
    return grid.reshape(len(value), side, side, -1).movedim(-1, 1)


def warn_of_tokens(name: str, layer: nn.Module, value: Tensor) -> None:
    """Warn if dimension 1 of a layer's tensor looks like tokens and the last like channels."""
    if value.dim() < 3:
        return
    last, first = set(), set()
    for module in layer.modules():
        for width in ("in_features", "out_features", "embedding_dim", "embed_dim"):
            last.add(getattr(module, width, None))
        normalized = getattr(module, "normalized_shape", None)
        if isinstance(normalized, (tuple, torch.Size)) and normalized:
            last.add(normalized[-1])
        for width in ("in_channels", "out_channels", "num_features", "num_channels"):
            first.add(getattr(module, width, None))
    if value.shape[-1] in last and value.shape[1] not in last | first:
        warn(
            f"the value of {type(layer).__name__} has shape {list(value.shape)}, of which "
            "dimension 1 counts as the channels, but it is the last one that is as wide as its "
            f"weights: these look like tokens; give {name}='token_grid', 'channels_last' or a "
            "function that returns [batch, channels, *positions]"
        )
