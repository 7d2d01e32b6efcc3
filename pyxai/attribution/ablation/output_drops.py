"""Differences of outputs when parts of the input are replaced by the baseline."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.game.path import rows_of
from pyxai.game.players import check_one_mask
from pyxai.ops import masked_perturb
from pyxai.runner import Runner

__all__ = ["changed_players", "drops_of", "output_drops"]

# Bits are copied as they are, so integers travel as floats of the same width.
_CARRIERS = {8: torch.float64, 4: torch.float32, 2: torch.float16}


def output_drops(
    runner: Runner,
    inputs: tuple[Tensor, ...],  # [batch, *features] each
    baselines: tuple[Tensor | float, ...],  # [1 or batch, *features] each
    maps: tuple[Tensor | None, ...],  # int32 [1 or batch, *features] each
    masks: Callable[[slice], Tensor],
    n_masks: int,
) -> Tensor:
    """Return ``f(inputs) - f(inputs with the hidden players at the baseline)`` for every mask.

    ``masks(numbers)`` gives the packed masks of some of the ``n_masks``; they are made pass by
    pass, since all of them together have the square of the number of players in bits. The result is
    ``[batch, n_masks]``, ``[1, n_masks]`` for a model with one output for the whole batch, and
    ``[batch * n_outputs, n_masks]`` where every output is asked for.
    """
    # Passes that hold whole examples all ask for the same masks.
    table_of = functools.lru_cache(maxsize=1)(
        lambda start, stop: _with_all(masks, slice(start, stop))
    )
    carried = [_carry(tensor, base) for tensor, base in zip(inputs, baselines, strict=True)]

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        table = table_of(repeats.start, repeats.stop)
        rows = []
        for tensor, (source, base), owners in zip(inputs, carried, maps, strict=True):
            nhwc = tensor.dim() == 4 and not tensor.is_contiguous()
            nhwc = nhwc and tensor.is_contiguous(memory_format=torch.channels_last)
            made = masked_perturb(
                source[examples],
                rows_of(base, examples),
                table,
                owners if owners is None or len(owners) == 1 else owners[examples],
                channels_last=nhwc,
            )
            rows.append(_uncarry(made.flatten(0, 2), tensor.dtype))
        return tuple(rows)

    # Row 0 of every example is the whole input, so it needs no pass of its own.
    values = runner.values(build, inputs[0].shape[0], n_masks + 1, like=inputs)
    check_one_mask(maps, len(values))
    return drops_of(values)


def drops_of(values: Tensor) -> Tensor:
    """Return by how much the other values fall below the first, a row for each output."""
    drops = values[:, :1] - values[:, 1:]
    return drops if drops.dim() == 2 else drops.transpose(1, 2).flatten(0, 1)


def _with_all(masks: Callable[[slice], Tensor], repeats: slice) -> Tensor:
    """Return the masks of some repeats, of which number 0 keeps everything."""
    table = masks(slice(max(repeats.start - 1, 0), repeats.stop - 1))
    if repeats.start > 0:
        return table
    return torch.cat([table.new_full((1, table.shape[1]), -1), table])


def _carry(tensor: Tensor, baseline: Tensor | float) -> tuple[Tensor, Tensor | float]:
    """Return input and baseline in a dtype that `masked_perturb` copies."""
    if tensor.is_floating_point():
        return tensor, baseline
    if not isinstance(baseline, Tensor):
        baseline = torch.full_like(tensor[:1], int(baseline))
    if tensor.element_size() == 1:  # there is no 8-bit float to carry them
        tensor, baseline = tensor.to(torch.int16), baseline.to(torch.int16)
    carrier = _CARRIERS[tensor.element_size()]
    return tensor.contiguous().view(carrier), baseline.contiguous().view(carrier)


def _uncarry(rows: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return rows
    size = dtype.itemsize
    return rows.view(torch.int16).to(dtype) if size == 1 else rows.view(dtype)


def changed_players(
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor | float, ...],
    maps: tuple[Tensor | None, ...],
    n_players: int,
) -> Tensor:
    """Return which players differ from the baseline in at least one example, bool [n_players].

    Hiding the others changes no row, so their difference is 0 without asking the model.
    """
    changed = torch.zeros(n_players, dtype=torch.bool, device=inputs[0].device)
    for tensor, baseline, owners in zip(inputs, baselines, maps, strict=True):
        differs = tensor != baseline  # [batch, *features]
        if owners is None:
            changed |= flat_features(differs).any(0)
            continue
        if len(owners) == 1:
            differs = differs.any(0, keepdim=True)
        # Writing one value to a place many times is the same in any order.
        changed[owners[differs].long()] = True
    return changed
