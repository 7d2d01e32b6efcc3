"""Texts side by side: ids, masks and units, padded to one length."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai.adapters.units.tokens import Tokens
from pyxai.adapters.units.units import Units

__all__ = ["Batch", "Text", "batches", "make_batch"]

_ROWS = 64  # of a batch at most; passes are bounded by memory
_STRETCH = 1.5  # the longest of a batch by the shortest: more of it would be padding


@dataclass(frozen=True)
class Text:
    """One text to explain."""

    tokens: Tokens
    units: Units


@dataclass(frozen=True)
class Batch:
    """Some texts as tensors.

    Attributes
    ----------
    texts : tuple of Text
    ids, mask : Tensor, shape [batch, tokens]
        int64; padding has mask 0.
    owners : Tensor, shape [batch, tokens]
        int64: the unit of each token, ``n_units`` for special tokens, fixed parts and padding.
    n_units : int
        Those of the text that has most.
    """

    texts: tuple[Text, ...]
    ids: Tensor
    mask: Tensor
    owners: Tensor
    n_units: int

    @property
    def owned(self) -> Tensor:
        """Which tokens belong to a unit, bool [batch, tokens]."""
        return self.owners < self.n_units


def make_batch(
    texts: Sequence[Text], pad: int | None, device: torch.device, width: int = 0
) -> Batch:
    """Return texts as tensors, padded on the right to at least ``width`` tokens.

    ``pad`` is the id of padding, or None if there is none to need.
    """
    width = max(width, *(len(text.tokens) for text in texts))
    n_units = max(len(text.units) for text in texts)
    fill = 0 if pad is None else pad
    ids = torch.full((len(texts), width), fill, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    owners = torch.full_like(ids, n_units)
    for row, text in enumerate(texts):
        count = len(text.tokens)
        ids[row, :count] = torch.tensor(text.tokens.ids)
        mask[row, :count] = 1
        own = torch.tensor(text.units.owners)
        owners[row, :count] = torch.where(own < 0, n_units, own)
    return Batch(tuple(texts), ids.to(device), mask.to(device), owners.to(device), n_units)


def batches(texts: Sequence[Text], keys: Sequence[Hashable], stretch: bool) -> Iterator[list[int]]:
    """Yield the numbers of texts that are explained together: those of one key, of like lengths.

    They ascend, so that errors that name a row name a text where there is one batch. With
    ``stretch`` lengths may differ at will, as for methods that trace a model for each of them.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    for group in groups.values():
        batch: list[int] = []
        for number in sorted(group, key=lambda number: len(texts[number].tokens)):
            first = len(texts[batch[0]].tokens) if batch else 0
            long = len(texts[number].tokens) > _STRETCH * first and not stretch
            if batch and (len(batch) == _ROWS or long):
                yield sorted(batch)
                batch = []
            batch.append(number)
        yield sorted(batch)
