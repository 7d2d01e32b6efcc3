"""Which features share one bit of a mask: single features, any groups, patches of images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyxai._checks import check_int, check_tensor
from pyxai._inputs import Players, flat_features, format_feature_mask

__all__ = ["Groups", "Patches", "Spread"]


class Spread(NamedTuple):
    """Masks of groups as an imputer takes them."""

    weights: Tensor
    """``[batch, n_masks, n_players]``."""
    players: Players
    """Which of these each feature belongs to."""


class Groups:
    """Features with one number share one bit of the mask.

    Parameters
    ----------
    ids : Tensor, shape [*feat] or one that broadcasts to it, optional
        Integers from 0. Default: each feature is a group of its own.

    Examples
    --------
    >>> import torch
    >>> from pyxai.lex import Groups
    >>> Groups(torch.tensor([0, 0, 1])).count(torch.zeros(1, 3))
    2
    """

    def __init__(self, ids: Tensor | None = None) -> None:
        self.ids = None if ids is None else check_tensor("ids", ids)

    def players(self, inputs: Tensor) -> Players:
        """Return which group each feature of ``inputs``, ``[batch, *feat]``, belongs to."""
        ids = None if self.ids is None else self.ids.to(inputs.device)
        return format_feature_mask(ids, (inputs,), name="groups")

    def count(self, inputs: Tensor) -> int:
        """Return how many bits a mask of ``inputs``, ``[batch, *feat]``, has."""
        return self.players(inputs).n_players

    def spread(self, masks: Tensor, inputs: Tensor) -> Spread:
        """Return masks ``[batch, n_masks, n_groups]`` with what each of their bits stands for."""
        return Spread(masks, self.players(inputs))

    def on_features(self, values: Tensor, inputs: Tensor) -> Tensor:
        """Return a value of each group, ``[batch, n_groups]``, at its features, like ``inputs``."""
        weights, players = self.spread(values.unsqueeze(1), inputs)
        owners = players.maps[0]
        if owners is None:
            return weights.view(inputs.shape)
        index = owners.long().expand(inputs.shape).flatten(1)
        return weights.squeeze(1).gather(1, index).view(inputs.shape)

    def of_features(self, values: Tensor, inputs: Tensor) -> Tensor:
        """Return for each group whether any of its features is True, ``[batch, n_groups]``.

        ``values`` are bool, of the shape of ``inputs`` or one that broadcasts to it.
        """
        players = self.players(inputs)
        flat = flat_features(values.to(inputs.device).expand(inputs.shape))
        owners = players.maps[0]
        if owners is None:
            return flat
        index = flat_features(owners.long().expand(inputs.shape))
        counts = torch.zeros(len(flat), players.n_players, dtype=torch.int64, device=flat.device)
        return counts.scatter_add(1, index, flat.long()) > 0


class Patches(Groups):
    """Patches of an image, all channels of a pixel together; overlapping ones add up to at most 1.

    The selector's grid has ``(height - kernel) // stride + 1`` rows, and so many columns for the
    width. Pixels that no patch covers are never kept.

    Parameters
    ----------
    kernel : int
        Height and width of a patch in pixels.
    stride : int, optional
        Pixels from one patch to the next; default: the kernel, so that patches do not overlap.

    Raises
    ------
    ValueError
        If a number is below 1, or an image is smaller than a patch.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel = check_int("kernel", kernel, minimum=1)
        self.stride = self.kernel if stride is None else check_int("stride", stride, minimum=1)

    def grid(self, inputs: Tensor) -> tuple[int, int]:
        """Return rows and columns of patches on images ``[batch, channels, height, width]``."""
        if inputs.dim() != 4 or min(inputs.shape[2:]) < self.kernel:
            raise ValueError(
                f"inputs must be images [batch, channels, height, width] of at least "
                f"{self.kernel} pixels a side, got shape {list(inputs.shape)}"
            )
        height, width = ((size - self.kernel) // self.stride + 1 for size in inputs.shape[2:])
        return height, width

    def count(self, inputs: Tensor) -> int:
        """Return how many patches there are on images ``[batch, channels, height, width]``."""
        height, width = self.grid(inputs)
        return height * width

    def players(self, inputs: Tensor) -> Players:
        """Return pixels as players, one for all channels."""
        height, width = inputs.shape[2:]
        ids = torch.arange(height * width, device=inputs.device).view(1, height, width)
        return format_feature_mask(ids, (inputs,))

    def spread(self, masks: Tensor, inputs: Tensor) -> Spread:
        """Return masks of patches as masks of pixels, ``[batch, n_masks, height * width]``."""
        rows, columns = self.grid(inputs)
        kernel, size = self.kernel, inputs.shape[2:]
        grids = masks.reshape(-1, 1, rows * columns).expand(-1, kernel * kernel, -1)
        pixels = nn.functional.fold(grids, size, kernel, stride=self.stride).clamp(max=1)
        return Spread(pixels.view(*masks.shape[:2], -1), self.players(inputs))

    def of_features(self, values: Tensor, inputs: Tensor) -> Tensor:
        """Return for each patch whether any of its pixels is True in any channel.

        Values as for `Groups.of_features`, ``[batch, n_patches]`` comes back.
        """
        self.grid(inputs)
        pixels = values.to(inputs.device).expand(inputs.shape).any(1, keepdim=True)
        found = nn.functional.max_pool2d(pixels.float(), self.kernel, self.stride)
        return found.flatten(1) > 0
