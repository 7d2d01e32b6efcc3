"""Covariances of a data set or of its classes, streamed batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, check_tensor, describe
from pyxai._random import quiet_batches
from pyxai.attribution.sampled.functional_information.scatter import (
    Band,
    Diagonal,
    Full,
    Lags,
    Rows,
    Scatter,
)
from pyxai.covariance import (
    BandedCovariance,
    BlockCovariance,
    Covariance,
    DenseCovariance,
    DiagonalCovariance,
    ToeplitzCovariance,
)
from pyxai.covariance import SampleCovariance as _Sample
from pyxai.covariance.base import check_ridge, check_shrinkage

__all__ = ["FORMS", "PER", "STRUCTURES", "fitted_covariances"]

PER = ("class", "data")
FORMS = ("dense", "sample", "low_rank", "diagonal", "banded", "toeplitz")
STRUCTURES = ("joint", "per_channel", "per_token")


class _Form(NamedTuple):
    """Which covariance is estimated."""

    name: str
    shrinkage: float
    ridge: float
    rank: int | None
    bandwidth: int | None
    max_rows: int | None
    seed: int

    def check(self) -> None:
        """Check the options against the form."""
        check_choice("form", self.name, FORMS)
        check_shrinkage(self.shrinkage)
        check_ridge(self.ridge)
        check_int("seed", self.seed, minimum=0)
        if self.max_rows is not None:
            check_int("max_rows", self.max_rows, minimum=2)
        if self.name == "low_rank":
            check_int("rank", self.rank, minimum=1)
        elif self.rank is not None:
            raise ValueError(f"rank must be None for form {self.name!r}, got {self.rank}")
        if self.name == "banded" or (self.name == "toeplitz" and self.bandwidth is not None):
            check_int("bandwidth", self.bandwidth, minimum=0)
        elif self.bandwidth is not None:
            raise ValueError(f"bandwidth must be None for form {self.name!r}, got {self.bandwidth}")

    def start(self, features: int) -> Scatter | Rows:
        """Return what to keep of the rows of one block."""
        if self.name in ("sample", "low_rank"):
            return Rows(self.max_rows, self.seed)
        if self.name == "banded":
            assert self.bandwidth is not None
            return Band(features, self.bandwidth)
        if self.name == "dense":
            return Full(features)
        return Diagonal(features) if self.name == "diagonal" else Lags(features)

    def finish(self, kept: Scatter | Rows) -> Covariance:
        """Return the covariance of one block."""
        options = {"shrinkage": self.shrinkage, "ridge": self.ridge}
        if isinstance(kept, Rows):
            return _Sample(kept.rows(), rank=self.rank, **options)
        found = kept.covariance()
        if self.name == "dense":
            return DenseCovariance(found, **options)
        if self.name == "diagonal":
            return DiagonalCovariance(found + self.ridge * found.mean())
        if self.name == "banded":
            return BandedCovariance(found, **options)
        lags = len(found) if self.bandwidth is None else self.bandwidth + 1
        return ToeplitzCovariance(found[:lags], features=len(found), **options)


class _Model:
    """What is kept of the rows of one class, for each of its independent blocks."""

    def __init__(self, sizes: list[int], form: _Form) -> None:
        self.blocks = [form.start(size) for size in sizes]
        self.sizes, self.form = sizes, form

    @property
    def count(self) -> int:
        return self.blocks[0].count

    def update(self, rows: Tensor) -> None:
        for block, part in zip(self.blocks, torch.split(rows, self.sizes, -1), strict=True):
            block.update(part)

    def finish(self, repeats: int) -> Covariance:
        blocks = [self.form.finish(block) for block in self.blocks]
        if len(blocks) == 1 and repeats == 1:
            return blocks[0]
        return BlockCovariance(blocks, repeats=repeats)


def fitted_covariances(
    loader: Iterable[Any], *, per: str, structure: str, form: str, **options: Any
) -> Covariance | dict[int, Covariance]:
    """Return the covariance of the inputs, of each class or of all; see the method's ``fit``."""
    check_choice("per", per, PER)
    check_choice("structure", structure, STRUCTURES)
    chosen = _Form(form, **options)
    chosen.check()
    models: dict[int, _Model] = {}
    shape: tuple[int, ...] | None = None
    for batch in quiet_batches(loader):
        inputs, labels = _unpack(batch, per)
        if not len(inputs):
            continue
        shape = tuple(inputs.shape[1:]) if shape is None else shape
        if tuple(inputs.shape[1:]) != shape:
            raise ValueError(
                f"loader must give inputs of one shape {list(shape)}, got {list(inputs.shape[1:])}"
            )
        rows, sizes = _rows(inputs, structure)
        for label in torch.unique(labels).tolist():
            models.setdefault(label, _Model(sizes, chosen)).update(rows[labels == label])
    if shape is None:
        raise ValueError("loader must give at least one example, got none")
    few = {label: model.count for label, model in models.items() if model.count < 2}
    if few:
        raise ValueError(
            f"loader must give at least 2 examples of each class, got counts {few}"
            if per == "class"
            else "loader must give at least 2 examples, got 1"
        )
    repeats = shape[0] if structure == "per_token" else 1
    found = {label: models[label].finish(repeats) for label in sorted(models)}
    return found if per == "class" else found[0]


def _unpack(batch: Any, per: str) -> tuple[Tensor, Tensor]:
    """Return inputs and labels; the covariance of all data needs no labels."""
    if per == "data" and isinstance(batch, Tensor):
        batch = (batch,)
    if not isinstance(batch, (tuple, list)) or len(batch) < (2 if per == "class" else 1):
        raise TypeError(f"loader must give (inputs, labels) pairs, got {describe(batch)}")
    inputs = check_tensor("inputs of the loader", batch[0]).detach().cpu()
    check_finite("inputs of the loader", inputs)
    inputs = inputs if inputs.dtype == torch.float64 else inputs.float()
    if per == "data":
        return inputs, torch.zeros(len(inputs), dtype=torch.int64)
    labels = check_tensor("labels of the loader", batch[1]).detach().cpu()
    if labels.dim() != 1 or labels.is_floating_point() or len(labels) != len(inputs):
        raise ValueError(
            f"labels of the loader must be {len(inputs)} integers, got {describe(labels)}"
        )
    return inputs, labels


def _rows(inputs: Tensor, structure: str) -> tuple[Tensor, list[int]]:
    """Return one row per example and the sizes of its independent blocks."""
    if structure == "joint":
        return inputs.flatten(1), [inputs[0].numel()]
    if inputs.dim() < 3:
        raise ValueError(
            f"inputs of the loader must have at least 3 dimensions for structure {structure!r}, "
            f"got shape {list(inputs.shape)}"
        )
    if structure == "per_channel":
        return inputs.flatten(1), [inputs[0, 0].numel()] * inputs.shape[1]
    return inputs.mean(1).flatten(1), [inputs[0, 0].numel()]
