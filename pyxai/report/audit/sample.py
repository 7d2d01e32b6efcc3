"""What the maps of an audit say together: means of classes, and whether methods agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyxai.audit import Audit, ClassMaps
from pyxai.audit.statistics import add_maps
from pyxai.metrics import stability

__all__ = ["Sample", "sample_maps"]

_BYTES = 2**29  # of files of maps that are read at most, but for one shard
_COMPARED = 32  # examples of a shard whose maps are compared between methods
_SHARDS_COMPARED = 32


@dataclass
class Sample:
    """What the maps of some shards say.

    Attributes
    ----------
    n_examples : int
        How many examples the shards have.
    whole : bool
        Whether they are all that are done.
    means : dict of str to dict of int or None to ClassMaps
        By method, and by explained output among those that are shown.
    correlations : Tensor, shape [n_methods, n_methods]
        Mean rank correlation of the maps of one example by two methods, NaN where there is none.
    n_compared : int
        Over so many examples, those that two methods or more have an answer to.
    """

    n_examples: int = 0
    whole: bool = True
    means: dict[str, dict[int | None, ClassMaps]] = field(default_factory=dict)
    correlations: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    n_compared: int = 0


def sample_maps(found: Audit, methods: Sequence[str], classes: list[int]) -> Sample:
    """Read the maps of shards spread evenly over those that are done, a shard at a time.

    Parameters
    ----------
    found : Audit
        With maps.
    methods : sequence of str
        Those that have an answer.
    classes : list of int
        Explained outputs whose maps are averaged; of a model with one output, none.
    """
    chosen, whole = _shards(found)
    shown: set[int | None] = {*classes} if classes else {None}
    made = Sample(whole=whole, means={method: {} for method in methods})
    size = len(methods)
    sums, counts = torch.zeros(size, size), torch.zeros(size, size)
    compared = set(_even(chosen, _SHARDS_COMPARED))
    for shard in chosen:
        targets, maps = _read(found, methods, shard)
        made.n_examples += len(targets)
        for method, values in maps.items():
            good = values.isfinite().all(1).tolist()
            taken = [ok and target in shown for ok, target in zip(good, targets, strict=True)]
            add_maps(made.means[method], targets, taken, values)
        if shard in compared:
            rows = _even(list(range(len(targets))), _COMPARED)
            parts = [values[rows] for values in maps.values()]
            answers = torch.stack([part.isfinite().all(1) for part in parts]).sum(0)
            made.n_compared += int((answers > 1).sum())
            _compare(parts, [_question(found, method) for method in maps], sums, counts)
    made.correlations = sums / counts  # NaN of 0 / 0
    return made


def _shards(found: Audit) -> tuple[list[int], bool]:
    """Return which shards are read, and whether they are all that are done."""
    done = found.shards.numbers()
    largest = max(found.folder.maps(shard).stat().st_size for shard in done)
    chosen = _even(done, max(1, _BYTES // max(1, largest)))
    return chosen, len(chosen) == len(done)


def _read(
    found: Audit, methods: Sequence[str], shard: int
) -> tuple[list[int | None], dict[str, Tensor]]:
    """Return targets and maps [rows, features] of a shard; several inputs beside each other."""
    table = found.folder.read_rows(shard)
    targets = table.column("target").to_pylist()[:: len(found.methods)]
    stored = found.shards.stored_maps(shard)
    maps = {}
    for method in methods:
        parts = found.shards.parts_of(stored, method, slice(None))
        maps[method] = torch.cat([part.double().flatten(1) for part in parts], 1)
    return targets, maps


def _question(found: Audit, method: str) -> list[Any]:
    """Return what maps must share to be compared: the inputs, or a layer, and the neuron there."""
    about = found.about(method)
    if about == "inputs":
        return [about]
    planned = found.plan["methods"][found.methods.index(method)]
    names = ("layer", "neuron_selector", "attribute_to_layer_input", "attribute_to_neuron_input")
    places = [planned["options"].get(name) or None for name in names]
    return [about, *places] if places[0] is not None else [about, method]  # of an object


def _compare(maps: list[Tensor], questions: list[Any], sums: Tensor, counts: Tensor) -> None:
    """Add the rank correlations of all pairs of methods whose maps are of one thing."""
    for one, first in enumerate(maps):
        for other, second in enumerate(maps):
            alike = questions[one] == questions[other] and first.shape == second.shape
            if other < one or not alike:
                continue
            good = first.isfinite().all(1) & second.isfinite().all(1)
            if not bool(good.any()):
                continue
            found = stability(first[good], second[good])
            found = found[found.isfinite()]  # a constant map has no order
            for row, column in {(one, other), (other, one)}:
                sums[row, column] += float(found.sum())
                counts[row, column] += len(found)


def _even(items: list[int], most: int) -> list[int]:
    """Return at most so many items, spread evenly from the first to the last."""
    if len(items) <= most:
        return items
    if most == 1:
        return items[:1]
    return sorted({items[round(at * (len(items) - 1) / (most - 1))] for at in range(most)})
