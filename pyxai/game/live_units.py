"""One feature out at a time, through two linear layers with a ReLU between them.

A feature moves each unit behind the first layer a little, and many units are so far below zero that
none moves them above it. They are zero for all features of an example, so the second layer, in
which most products lie, is run without them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyxai._checks import is_finite
from pyxai.game.path import rows_of
from pyxai.runner.split import PartedModel

__all__ = ["Write", "behind_second", "features_out_of_second"]

# Of what the first layer returns for everything, [n, size], for examples, draws and players, into a
# tensor [n, n_draws, n_players, what the rest is asked with].
Write = Callable[[Tensor, slice, slice, slice, Tensor], None]

# What an example costs besides, in products of a matrix: the calls of torch, and each number that
# is picked, moved or copied.
_PICKED = 24
_CALLED = 2**21
# About one of so many units is skipped where inputs and weights are spread evenly around zero.
_SKIPPED = 3
# Numbers of the second weights, of which every pass copies those of units that live.
_MOST_COPIED = 2**20
# Numbers that are made at once: they are read again while a cache holds them.
_MADE_AT_ONCE = 2**18


def behind_second(split: PartedModel, n_features: int) -> PartedModel | None:
    """Return a model cut behind its second layer, if a third fewer products in that would pay.

    ``n_features`` tells how many are taken out of an example in a pass. On a GPU it does not pay:
    units are counted, which waits for it.
    """
    behind = split.behind_second()
    if behind is None or behind.second is None or split.after.device.type != "cpu":
        return None
    weight, size = behind.second.weight.detach(), split.sizes.size
    if not 0 < weight.numel() <= _MOST_COPIED:
        return None
    saved = n_features * weight.numel() // _SKIPPED
    # Rows of the second weights are copied each time, out of a cache where they are many.
    if saved < _PICKED * (n_features * size + 2 * weight.numel()) + _CALLED:
        return None
    # Zero times what is not finite is no zero, and the model would say so.
    return behind if is_finite(weight) else None


def features_out_of_second(
    split: PartedModel, shown: Tensor, hidden: Tensor, features: Tensor, *, drawn: bool
) -> Write:
    """Return what writes what the second layer returns without each of some features.

    Parameters
    ----------
    split : PartedModel
        Cut behind the second layer.
    shown, hidden : Tensor, shape [batch, n_features] and [1 or batch or n_draws, n_features]
        What the first layer gets for inputs and baselines.
    features : Tensor, shape [n]
        int64.
    drawn : bool
        Whether the baselines are draws, each for all examples.
    """
    matrix, second = split.matrix, split.second
    assert matrix is not None
    assert second is not None
    weight, into, bias = matrix.detach().T, second.weight.detach().T.contiguous(), second.bias
    if features.shape[0] < weight.shape[1]:
        weight, shown, hidden = weight[:, features], shown[:, features], hidden[:, features]
    largest = split.magnitudes.amax(0)  # of each unit
    hidden = hidden[None] if drawn else hidden[:, None]

    def write(whole: Tensor, examples: slice, draws: slice, some: slice, out: Tensor) -> None:
        change = rows_of(hidden, examples)[:, draws, some] - shown[examples, None, some]
        ours = weight if out.shape[2] == weight.shape[1] else weight[:, some]
        # Rounding keeps order, so what is above zero is so by this bound too.
        reach = change.abs().flatten(1).amax(1, keepdim=True)
        is_live = torch.addcmul(whole, largest, reach).le(0).logical_not_()  # as NaN is
        counts = is_live.sum(1).tolist()
        lives = torch.split_with_sizes(is_live.nonzero()[:, 1], counts)
        starts = torch.split_with_sizes(whole.masked_select(is_live)[:, None], counts)
        for live, start, moved, made in zip(lives, starts, change, out, strict=True):
            few, theirs = ours.index_select(0, live), into.index_select(0, live)
            step = max(1, _MADE_AT_ONCE // max(1, live.shape[0]))
            for first in range(0, few.shape[1], step):
                part = slice(first, first + step)
                for by, rows in zip(moved[:, part], made[:, part], strict=True):
                    units = torch.addcmul(start, few[:, part], by).relu_().T
                    if bias is None:
                        torch.mm(units, theirs, out=rows)
                    else:
                        torch.addmm(bias, units, theirs, out=rows)

    return write
