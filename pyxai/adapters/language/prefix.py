"""Keys and values of the start of the prompt, which all rows share, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai.adapters.language.causal_model import CausalModel
from pyxai.runner import EveryOutput, Runner

__all__ = ["Prefix", "read_prefix"]


class _NoPrefixError(Exception):
    """The model keeps something else than keys and values of every token."""


@dataclass(frozen=True)
class Prefix:
    """Keys and values of each layer, [1, heads, length, width] each."""

    length: int
    layers: tuple[tuple[Tensor, Tensor], ...]
    argument: str  # under which the model takes them

    def cache(self, n_rows: int) -> Any:
        """Return a cache of transformers' with the prefix in each row; the model adds to it."""
        from transformers import DynamicCache

        # Views: the first layer to add to them copies.
        rows = [tuple(part.expand(n_rows, -1, -1, -1) for part in pair) for pair in self.layers]
        return DynamicCache(rows)


def read_prefix(model: CausalModel, ids: Tensor) -> Prefix | None:
    """Run the start of the prompt, int64 [1, length], and return what the model keeps of it.

    None if the model keeps nothing, or not the keys and values of every token: a window of them, or
    the state of a recurrence, would not be the same for rows that go on from it.
    """
    names = [name for name in ("cache", "past_key_values") if model.takes(name)]
    if not names or not model.takes("use_cache"):
        return None
    call = _PrefixCall(model)
    try:
        flat = Runner(call, target=EveryOutput()).outputs((ids,))[0]
    except _NoPrefixError:
        return None
    sizes = [shape.numel() for shape, _, _ in call.forms]
    parts = [
        part.view(shape).to(device, dtype)
        for part, (shape, dtype, device) in zip(torch.split(flat, sizes), call.forms, strict=True)
    ]
    pairs = tuple(zip(parts[0::2], parts[1::2], strict=True))
    return Prefix(ids.shape[1], pairs, names[0])


class _PrefixCall:
    """The model as a function of ids that returns its cache, flat."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self.forms: list[tuple[torch.Size, torch.dtype, torch.device]] = []

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self._model.forward_func, (_PrefixCall,)

    def __call__(self, ids: Tensor) -> Tensor:
        output = self._model.forward_func(input_ids=ids, use_cache=True)
        cache = getattr(output, "cache", None)
        cache = getattr(output, "past_key_values", None) if cache is None else cache
        layers = getattr(cache, "layers", None)
        # By exact type: windows, quantised and recurrent layers derive from it.
        if not layers or any(type(layer).__name__ != "DynamicLayer" for layer in layers):
            raise _NoPrefixError
        parts = [part for layer in layers for part in (layer.keys, layer.values)]
        self.forms = [(part.shape, part.dtype, part.device) for part in parts]
        return torch.cat([part.to(ids.device).reshape(1, -1) for part in parts], 1)
