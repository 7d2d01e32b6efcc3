"""Feature-to-player maps turned around: which features each player owns."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Segments", "segments_of"]


class Segments(NamedTuple):
    """Features in the order of their players, and where each player's begin."""

    order: Tensor  # int32 [1 or batch, features]
    offsets: Tensor  # int32 [1 or batch, n_players + 1]


# Methods ask with one map thousands of times, and sorting it costs as much as the sum that needs
# it. Entries go with their map; a map that was written to has another version, and another stream
# of a GPU does not wait for what was queued on the first.
_cache: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def segments_of(players: Tensor | None, flat: Tensor | None, n_players: int) -> Segments | None:
    """Turn ``flat``, the flat form of ``players``, around; without host synchronisation."""
    if players is None or flat is None:
        return None
    if players.is_inference():  # such tensors do not tell whether they were written to
        return _turn_around(flat, n_players)
    key = (players._version, n_players, tuple(flat.shape), _stream_of(players))
    found = _cache.get(players)  # type: ignore[no-untyped-call]  # torch left it without types
    if found is None or found[0] != key:
        found = (key, _turn_around(flat, n_players))
        _cache[players] = found
    segments: Segments = found[1]
    return segments


def _stream_of(tensor: Tensor) -> int | None:
    if tensor.device.type != "cuda":
        return None
    return int(torch.cuda.current_stream(tensor.device).cuda_stream)


def _turn_around(flat: Tensor, n_players: int) -> Segments:
    owners, order = torch.sort(flat, dim=1, stable=True)
    ids = torch.arange(n_players + 1, dtype=flat.dtype, device=flat.device)
    bounds = ids.expand(flat.shape[0], -1).contiguous()
    offsets = torch.searchsorted(owners, bounds, out_int32=True)
    return Segments(order.to(torch.int32), offsets)
