"""Values of tensors as they were found: put back where they were written to, and nowhere else."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

__all__ = ["KeptValues"]

_version = operator.attrgetter("_version")
_shape = operator.attrgetter("shape")
_kind = operator.attrgetter("layout", "is_quantized", "device", "dtype", "ndim")


class KeptValues:
    """What some tensors held, and how to tell whether they still do.

    Torch counts the writes to a tensor (its version), which costs nothing to look at on any device.
    It does not count those of batch norm and those through ``.data``: on a CPU values are compared
    as well. On a GPU a comparison would wait for the device; there, what is written without a count
    is taken to be written beside something that is counted, in the same module, as batch norm
    counts its batches.

    Parameters
    ----------
    tensors : list of (Tensor, int)
        Each with a number that stands for the module that it belongs to; may name one several
        times.
    silent : collection of int
        Owners that write without counting anything.
    """

    def __init__(self, tensors: list[tuple[Tensor, int]], silent: Collection[int] = ()) -> None:
        kept = {id(each[0]): each for each in tensors if not is_lazy(each[0])}
        self._tensors = [tensor for tensor, _ in kept.values()]
        if not self._tensors:
            return
        self._owners = [owner for _, owner in kept.values()]
        self._silent = silent
        # Tensors made in inference mode count nothing.
        self._uncounted = {p for p, tensor in enumerate(self._tensors) if tensor.is_inference()}
        self._versions = self._count()
        with torch.inference_mode(False), torch.no_grad():
            self._copies = _copies(self._tensors)

    def restore(self, *, compare: bool) -> None:
        """Put back what was written to; ``compare`` looks at values too, where that is quick."""
        if not self._tensors:
            return
        versions = self._count()
        changed = set()
        if versions != self._versions:
            counts = zip(self._owners, versions, self._versions, strict=True)
            written = {owner for owner, now, before in counts if now != before}
            changed = {p for p, owner in enumerate(self._owners) if owner in written}
            self._versions = versions
        with torch.inference_mode(False), torch.no_grad():
            if compare:
                changed.update(self._differing())
            for place in changed:
                self._put_back(place)

    def _count(self) -> list[int]:
        if not self._uncounted:
            return [*map(_version, self._tensors)]
        return [
            0 if place in self._uncounted else tensor._version
            for place, tensor in enumerate(self._tensors)
        ]

    def _differing(self) -> Iterator[int]:
        """Yield tensors that do not hold what they held, as far as this can be told."""
        for copy in self._copies:
            if _comparable(copy):
                now = [self._tensors[place] for place in copy.places]
                if [*map(_shape, now)] != copy.shapes or not torch.equal(_flat(now), copy.flat):
                    yield from copy.places
            else:
                for place in copy.places:
                    if place in self._uncounted or self._owners[place] in self._silent:
                        yield place

    def _put_back(self, place: int) -> None:
        tensor, (value, memory) = self._tensors[place], self._found(place)
        # A tensor does not count what is written through its data: for a backward pass of the
        # user's that is still to come, nothing has happened.
        with torch.inference_mode(tensor.is_inference()):
            if memory is None:
                tensor.data.copy_(value)
                return
            tensor.data = memory  # who gave it other memory may still use that
            for dim, (size, stride) in enumerate(zip(memory.shape, memory.stride(), strict=True)):
                if size > 1 and stride == 0:  # expanded: one place in memory holds them all
                    memory, value = memory.narrow(dim, 0, 1), value.narrow(dim, 0, 1)
            memory.copy_(value)

    def _found(self, place: int) -> tuple[Tensor, Tensor | None]:
        """Return what a tensor held, and its memory."""
        copy = next(copy for copy in self._copies if place in copy.places)
        if not copy.shapes:
            return copy.flat, None
        index = copy.places.index(place)
        start = sum(shape.numel() for shape in copy.shapes[:index])
        shape = copy.shapes[index]
        value = copy.flat[start : start + shape.numel()].view(shape)
        return value, copy.memory[index]


class _Copy(NamedTuple):
    """The values of some tensors of one device and dtype, one after the other."""

    places: list[int]
    shapes: list[torch.Size]
    """Empty where one tensor is kept in its own form, being sparse or quantized."""
    flat: Tensor
    memory: list[Tensor]
    """Other tensors with the memory that they had, which so is given to nobody else meanwhile."""


def _copies(tensors: list[Tensor]) -> list[_Copy]:
    """Copy all tensors of one kind at once: one kernel for each is more than many a call takes."""
    alike: dict[Any, list[int]] = {}
    for place, kind in enumerate(zip(map(type, tensors), map(_kind, tensors), strict=True)):
        alike.setdefault(kind, []).append(place)
    copies = []
    for (cls, (layout, quantized, *_)), places in alike.items():
        given = [tensors[place] for place in places]
        if cls is Tensor and layout == torch.strided and not quantized:
            memory = [tensor.data for tensor in given]
            copies.append(_Copy(places, [*map(_shape, given)], _flat(given), memory))
        else:
            copies += [
                _Copy([place], [], tensor.detach().clone(), [])
                for place, tensor in zip(places, given, strict=True)
            ]
    return copies


def _flat(tensors: list[Tensor]) -> Tensor:
    """Return the values of tensors, which have the same number of dimensions, in one copy."""
    if tensors[0].ndim == 0:
        return torch.stack(tensors)
    return torch.cat(tensors if tensors[0].ndim == 1 else [t.reshape(-1) for t in tensors])


def _comparable(copy: _Copy) -> bool:
    """Whether a look at values does not wait for a device."""
    return bool(copy.shapes) and copy.flat.device.type == "cpu"
