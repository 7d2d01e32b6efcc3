"""Outputs without some patches or players, by a way that runs less than all of the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pyxai.attribution.ablation.windows import Windows
from pyxai.game.linear_prefix import linear_prefix
from pyxai.propagation.windows import Patches, windowed_model
from pyxai.runner import Runner, note_path

__all__ = ["patched_values", "patches_of_windows", "values_without"]

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


def values_without(
    runner: Runner,
    inputs: tuple[Tensor, ...],  # [batch, *features] each
    baselines: tuple[Tensor | float, ...],  # [1 or batch or n_draws, *features] each
    maps: tuple[Tensor | None, ...],  # int32 [1 or batch, *features] each
    n_players: int,
    chosen: Tensor,  # int64 [n]
    n_draws: int | None = None,
) -> Tensor | None:
    """Return outputs of everything, and without each of some players, by windows or a prefix.

    In the form of `patched_values`; None where all of the model must be run.
    """
    if maps[0] is None or len(maps[0]) == 1:
        values = patched_values(
            runner, inputs, baselines, len(chosen),
            lambda: patches_of_players(maps[0], inputs[0], chosen), n_draws,
        )  # fmt: skip
        if values is not None:
            return values
    prefix = linear_prefix(
        runner, inputs, baselines, maps, n_players,
        n_rows=len(chosen) * (n_draws or 1) + 1, sums=1, n_draws=n_draws,
    )  # fmt: skip
    return None if prefix is None else prefix.without(chosen)


def patched_values(
    runner: Runner,
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor | float, ...],
    n_patches: int,
    patches: Callable[[], Patches],
    n_draws: int | None = None,
) -> Tensor | None:
    """Return outputs of the images, and with each patch at the baseline, [batch, 1 + n_patches].

    Computed in windows; None where that does not pay, or is not the model. With ``n_draws`` the
    baselines are so many, each for all examples: ``[batch, 1 + n_draws * n_patches]``, those of a
    draw side by side. Outputs of the whole batch, and every output, are as from the runner.
    """
    windowed = None
    if runner.is_plain:
        windowed = windowed_model(
            runner.forward_func, inputs, baselines, n_patches, patches, n_draws
        )
    if windowed is None:
        return None
    note_path("incremental")
    device, n_examples = windowed.x.device, len(windowed.x)
    order = torch.from_numpy(windowed.order).to(device)
    # Row 0 of every example is the whole image.
    numbers = torch.cat([order.new_zeros(1), order + 1])

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        each = torch.arange(examples.start, examples.stop, device=device)
        return (torch.cartesian_prod(each, numbers[repeats]),)

    like = (torch.stack([numbers, numbers], 1),)
    values = runner.of(windowed).values(build, n_examples, len(numbers), like=like)
    return torch.empty_like(values).index_copy_(1, numbers, values)


def patches_of_windows(windows: Windows, chosen: Tensor) -> Patches:
    """Return some positions of a window over an image, int64 [n], as patches."""
    places = torch.unravel_index(chosen, tuple(len(each) for each in windows.covers))
    ends = [
        torch.stack([covers.int().argmax(1), covers.shape[1] - covers.flip(1).int().argmax(1)], 1)
        for covers in windows.covers[1:]
    ]
    boxes = torch.cat([each[place] for each, place in zip(ends, places[1:], strict=True)], 1)

    def hidden(numbers: Numbers, rows: Tensor, columns: Tensor) -> Tensor:
        at = torch.from_numpy(numbers).to(rows.device)
        channels, below, beside = (
            covers[place[at]] for covers, place in zip(windows.covers, places, strict=True)
        )
        below, beside = below.gather(1, rows), beside.gather(1, columns)
        return channels[:, :, None, None] & below[:, None, :, None] & beside[:, None, None, :]

    return Patches(boxes.cpu().numpy(), hidden)


def patches_of_players(owners: Tensor | None, inputs: Tensor, chosen: Tensor) -> Patches:
    """Return some players of images, int64 [n], as patches with the boxes around them.

    Parameters
    ----------
    owners : Tensor, shape [1, channels, rows, columns], optional
        int32 player of each feature; None: each is its own.
    inputs : Tensor, shape [batch, channels, rows, columns]
        The images.
    chosen : Tensor, shape [n]
        The players.
    """
    shape = inputs.shape[1:]
    if owners is None:
        whole = torch.arange(shape.numel(), device=inputs.device).view(shape)
    else:
        whole = owners[0].expand(shape).long()

    def hidden(numbers: Numbers, rows: Tensor, columns: Tensor) -> Tensor:
        player = chosen[torch.from_numpy(numbers).to(rows.device)][:, None, None, None]
        found = whole[:, rows[:, :, None], columns[:, None, :]].movedim(1, 0)
        return found == player

    return Patches(_boxes(whole)[chosen].cpu().numpy(), hidden)


def _boxes(owners: Tensor) -> Tensor:
    """Return the first row and that behind the last of each player, and of its columns."""
    n_players = int(owners.max()) + 1
    ends = []
    for axis in (1, 2):
        size = owners.shape[axis]
        place = torch.arange(size, device=owners.device)
        place = place[:, None] if axis == 1 else place
        flat = place.expand_as(owners).flatten()
        first = flat.new_full((n_players,), size)
        ends.append(first.scatter_reduce(0, owners.flatten(), flat, "amin"))
        ends.append(flat.new_zeros(n_players).scatter_reduce(0, owners.flatten(), flat, "amax") + 1)
    return torch.stack(ends, 1)
