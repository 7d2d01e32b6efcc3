"""Differences of outputs of a conv net when patches of an image are at the baseline."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyxai.attribution.ablation.output_drops import drops_of
from pyxai.attribution.ablation.windows import Windows
from pyxai.propagation.windows import Patches, WindowedModel
from pyxai.runner import Runner, note_path

__all__ = ["patched_drops", "patches_of_players", "patches_of_windows"]

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


def patched_drops(runner: Runner, windowed: WindowedModel) -> Tensor:
    """Return ``f(inputs) - f(inputs with a patch at the baseline)`` for every patch.

    In the form of `output_drops`; the runner is of the windowed model.
    """
    note_path("incremental")
    device, n_examples = windowed.x.device, len(windowed.x)
    order = torch.from_numpy(windowed.order).to(device)
    # Row 0 of every example is the whole image.
    numbers = torch.cat([order.new_zeros(1), order + 1])

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        each = torch.arange(examples.start, examples.stop, device=device)
        return (torch.cartesian_prod(each, numbers[repeats]),)

    like = (torch.stack([numbers, numbers], 1),)
    drops = drops_of(runner.values(build, n_examples, len(numbers), like=like))
    return torch.empty_like(drops).index_copy_(1, order, drops)


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
