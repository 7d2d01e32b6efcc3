"""How attributions are stored: reduced over channels, in half precision, or the largest alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

__all__ = ["DTYPES", "REDUCTIONS", "Form", "MapShard", "StoredMaps", "dense"]

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda value: value.sum(1),
    "mean": lambda value: value.mean(1),
    "abs_sum": lambda value: value.abs().sum(1),
    "abs_max": lambda value: value.abs().amax(1),
    "norm": lambda value: value.square().sum(1).sqrt(),
}
DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class Form:
    """What is kept of an attribution.

    Attributes
    ----------
    reduce : str or None
        A name of `REDUCTIONS`, over dimension 1.
    dtype : str
        A name of `DTYPES`.
    top_k : int, float or None
        How many of the largest, by absolute value, are kept; a fraction of all where it is a float.
    """

    reduce: str | None = None
    dtype: str = "float32"
    top_k: int | float | None = None

    def numbers(self, shape: Sequence[int]) -> int:
        """Return how many numbers are kept of an attribution of a shape without examples."""
        total = prod(shape[1:] if self.reduce else shape)
        return total if self.top_k is None else self._count(total)

    def kept(self, attributions: Tensor) -> tuple[dict[str, Tensor], list[int]]:
        """Return what is kept of attributions [batch, *features], by kind, and their shape.

        The kinds are ``""`` for all, or ``".value"`` and ``".index"`` of the largest, which count
        through the features of one example.

        Raises
        ------
        ValueError
            If there are no channels to reduce, or a value is out of the dtype's range.
        """
        values = attributions.detach().cpu()
        if self.reduce is not None:
            if values.dim() < 3:
                raise ValueError(
                    "reduce must be None for attributions without channels, got "
                    f"{self.reduce!r} for {list(values.shape[1:])}"
                )
            values = REDUCTIONS[self.reduce](values.double() if values.dim() else values)
        shape = list(values.shape[1:])
        dtype = DTYPES[self.dtype]
        most = torch.finfo(dtype).max
        if values.numel() and float(values.abs().max()) > most:
            raise ValueError(
                f"attributions must lie within {most:g} for dtype {self.dtype}, got "
                f"{float(values.abs().max()):g}"
            )
        if self.top_k is None:
            return {"": values.to(dtype)}, shape
        flat = values.reshape(len(values), -1)
        places = flat.abs().topk(self._count(flat.shape[1]), dim=1).indices.sort(1).values
        return {
            ".value": flat.gather(1, places).to(dtype),
            ".index": places.to(torch.int32),
        }, shape

    def _count(self, total: int) -> int:
        count = self.top_k if isinstance(self.top_k, int) else round((self.top_k or 0) * total)
        return max(1, min(total, int(count)))


def dense(kept: dict[str, Tensor], shape: Sequence[int]) -> Tensor:
    """Undo `Form.kept`: [batch, *shape], zero where nothing is kept, NaN for bad examples."""
    if "" in kept:
        return kept[""]
    values, places = kept[".value"], kept[".index"].long()
    out = values.new_zeros(len(values), prod(shape))
    bad = (places < 0).any(1)
    out.scatter_(1, places.clamp(min=0), values)
    out[bad] = torch.nan
    return out.reshape(len(values), *shape)


class MapShard:
    """The maps of a shard while they are made: a row for each example, NaN until it is set."""

    def __init__(self, rows: int, form: Form) -> None:
        self.rows, self.form = rows, form
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, list[int]] = {}

    def set(self, name: str, rows: Any, kept: dict[str, Tensor], shape: list[int]) -> None:
        """Set rows of a map to what `Form.kept` returned."""
        known = self.shapes.setdefault(name, shape)
        if known != shape:
            raise ValueError(f"attributions must have shape {known} as others have, got {shape}")
        for kind, values in kept.items():
            whole = self.tensors.get(name + kind)
            if whole is None:
                fill: Any = torch.nan if values.is_floating_point() else -1
                whole = values.new_full((self.rows, *values.shape[1:]), fill)
                self.tensors[name + kind] = whole
            whole[rows] = values


class StoredMaps:
    """The maps of a shard as they are stored: dense where and when they are asked for.

    Parameters
    ----------
    tensors : dict of str to Tensor
        What was kept, by name and kind.
    shapes : dict of str to list of int
        Of the maps of one example, by name: that of a method, or with the number of the input.
    rows : int
        How many examples there are.
    """

    def __init__(self, tensors: dict[str, Tensor], shapes: dict[str, list[int]], rows: int) -> None:
        self.tensors, self.shapes, self.rows = tensors, shapes, rows

    def shapes_of(self, method: str) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of a method's maps, one for each input; none without an answer."""
        return tuple(tuple(self.shapes[name]) for name in self._names(method))

    def parts(
        self,
        method: str,
        rows: slice | list[int],
        shapes: tuple[tuple[int, ...], ...],
        dtype: torch.dtype,
    ) -> tuple[Tensor, ...]:
        """Return maps of some examples: NaN of these shapes and dtype without an answer."""
        names = self._names(method)
        if not names:
            count = len(range(self.rows)[rows]) if isinstance(rows, slice) else len(rows)
            return tuple(torch.full((count, *shape), torch.nan, dtype=dtype) for shape in shapes)
        return tuple(
            dense(
                {
                    kind: self.tensors[name + kind][rows]
                    for kind in ("", ".value", ".index")
                    if name + kind in self.tensors
                },
                self.shapes[name],
            )
            for name in names
        )

    def _names(self, method: str) -> list[str]:
        several = [name for name in self.shapes if name.rpartition(".")[0] == method]
        return several or [name for name in self.shapes if name == method]
