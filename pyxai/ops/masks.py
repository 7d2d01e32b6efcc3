"""Packed coalition masks: 32 players a word, bit j of word k is player ``32 * k + j``, 1 = keep."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_int, check_tensor
from pyxai.ops._arguments import MASK_BITS, n_words

__all__ = ["pack_masks", "unpack_masks"]


def pack_masks(masks: Tensor) -> Tensor:
    """Pack boolean masks into 32-bit words.

    Parameters
    ----------
    masks : Tensor, shape [..., n_players]
        bool; True keeps the player.

    Returns
    -------
    Tensor, shape [..., ceil(n_players / 32)]
        int32; unused high bits are 0.

    Raises
    ------
    TypeError
        If ``masks`` is not a bool tensor.
    """
    check_tensor("masks", masks)
    check_dtype("masks", masks, (torch.bool,))
    n_players = masks.shape[-1]
    words = n_words(n_players)
    padded = torch.nn.functional.pad(masks, (0, words * MASK_BITS - n_players))
    bits = padded.reshape(*masks.shape[:-1], words, MASK_BITS).to(torch.int64)
    weights = torch.ones((), dtype=torch.int64, device=masks.device) << torch.arange(
        MASK_BITS, device=masks.device
    )
    # int64 to int32 keeps the low 32 bits, so bit 31 becomes the sign.
    return (bits * weights).sum(-1).to(torch.int32)


def unpack_masks(masks: Tensor, n_players: int) -> Tensor:
    """Undo `pack_masks`.

    Parameters
    ----------
    masks : Tensor, shape [..., ceil(n_players / 32)]
        int32 packed masks.
    n_players : int
        How many players to unpack.

    Returns
    -------
    Tensor, shape [..., n_players]
        bool.

    Raises
    ------
    TypeError
        If ``masks`` is not an int32 tensor.
    ValueError
        If the number of words does not fit ``n_players``.
    """
    check_tensor("masks", masks)
    check_dtype("masks", masks, (torch.int32,))
    check_int("n_players", n_players, minimum=0)
    if masks.shape[-1] != n_words(n_players):
        raise ValueError(
            f"masks must have {n_words(n_players)} word(s) for {n_players} players, "
            f"got {masks.shape[-1]}"
        )
    shifts = torch.arange(MASK_BITS, dtype=torch.int32, device=masks.device)
    bits: Tensor = (masks.unsqueeze(-1) >> shifts) & 1
    return bits.flatten(-2)[..., :n_players].bool()
