"""Class covariances of a data set, streamed batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, check_tensor, describe
from pyxai.covariance import BlockCovariance, Covariance, DenseCovariance, DiagonalCovariance
from pyxai.covariance import SampleCovariance as _Sample

__all__ = ["FORMS", "STRUCTURES", "class_covariances"]

FORMS = ("dense", "sample", "low_rank", "diagonal")
STRUCTURES = ("joint", "per_channel", "per_token")


class _Scatter:
    """Mean and centred scatter of rows that arrive in batches (Chan's update), float64."""

    def __init__(self, features: int, full: bool) -> None:
        self.count = 0
        self.mean = torch.zeros(features, dtype=torch.float64)
        self.full = full
        shape = (features, features) if full else (features,)
        self.scatter = torch.zeros(shape, dtype=torch.float64)

    def update(self, rows: Tensor) -> None:
        rows = rows.double()
        count, mean = len(rows), rows.mean(0)
        centred, shift = rows - mean, mean - self.mean
        total = self.count + count
        between = self.count * count / total
        if self.full:
            self.scatter += centred.T @ centred + between * torch.outer(shift, shift)
        else:
            self.scatter += centred.square().sum(0) + between * shift.square()
        self.mean += shift * count / total
        self.count = total

    def covariance(self) -> Tensor:
        return self.scatter / (self.count - 1)


class _Rows:
    """The first ``limit`` rows."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.parts: list[Tensor] = []
        self.count = 0

    def update(self, rows: Tensor) -> None:
        if self.limit is not None:
            rows = rows[: max(0, self.limit - self.count)]
        self.parts.append(rows.clone())
        self.count += len(rows)


class _ClassModel:
    """What is kept of the rows of one class, for each of its independent blocks."""

    def __init__(self, sizes: list[int], form: str, max_rows: int | None) -> None:
        keeps_rows = form in ("sample", "low_rank")
        self.blocks: list[Any] = [
            _Rows(max_rows) if keeps_rows else _Scatter(size, form == "dense") for size in sizes
        ]
        self.sizes, self.form = sizes, form

    @property
    def count(self) -> int:
        return int(self.blocks[0].count)

    def update(self, rows: Tensor) -> None:
        for block, part in zip(self.blocks, torch.split(rows, self.sizes, -1), strict=True):
            block.update(part)

    def finish(self, shrinkage: float, ridge: float, rank: int | None) -> list[Covariance]:
        found: list[Covariance] = []
        for block in self.blocks:
            if self.form == "dense":
                found.append(DenseCovariance(block.covariance(), shrinkage=shrinkage, ridge=ridge))
            elif self.form == "diagonal":
                variances = block.covariance()
                found.append(DiagonalCovariance(variances + ridge * variances.mean()))
            else:
                rows = torch.cat(block.parts)
                found.append(_Sample(rows, shrinkage=shrinkage, ridge=ridge, rank=rank))
        return found


def class_covariances(
    loader: Iterable[Any],
    *,
    form: str,
    structure: str,
    shrinkage: float,
    ridge: float,
    rank: int | None,
    max_rows: int | None,
) -> dict[int, Covariance]:
    """Return the covariance of the inputs of each class; see `FunctionalInformation.fit`."""
    check_choice("form", form, FORMS)
    check_choice("structure", structure, STRUCTURES)
    if form == "low_rank":
        check_int("rank", rank, minimum=1)
    elif rank is not None:
        raise ValueError(f"rank must be None for form {form!r}, got {rank}")
    models: dict[int, _ClassModel] = {}
    shape: tuple[int, ...] | None = None
    for batch in loader:
        inputs, labels = _unpack(batch)
        shape = tuple(inputs.shape[1:]) if shape is None else shape
        if tuple(inputs.shape[1:]) != shape:
            raise ValueError(
                f"loader must give inputs of one shape {list(shape)}, got {list(inputs.shape[1:])}"
            )
        rows, sizes = _rows(inputs, structure)
        for label in torch.unique(labels).tolist():
            model = models.setdefault(label, _ClassModel(sizes, form, max_rows))
            model.update(rows[labels == label])
    if shape is None:
        raise ValueError("loader must give at least one batch, got none")
    few = {label: model.count for label, model in models.items() if model.count < 2}
    if few:
        raise ValueError(f"loader must give at least 2 examples of each class, got counts {few}")
    repeats = shape[0] if structure == "per_token" else 1
    return {
        label: _join(models[label].finish(shrinkage, ridge, rank), repeats)
        for label in sorted(models)
    }


def _join(blocks: list[Covariance], repeats: int) -> Covariance:
    if len(blocks) == 1 and repeats == 1:
        return blocks[0]
    return BlockCovariance(blocks, repeats=repeats)


def _unpack(batch: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise TypeError(f"loader must give (inputs, labels) pairs, got {describe(batch)}")
    inputs = check_tensor("inputs of the loader", batch[0]).detach().cpu()
    labels = check_tensor("labels of the loader", batch[1]).detach().cpu()
    if labels.dim() != 1 or labels.is_floating_point() or len(labels) != len(inputs):
        raise ValueError(
            f"labels of the loader must be {len(inputs)} integers, got {describe(labels)}"
        )
    check_finite("inputs of the loader", inputs)
    return (inputs if inputs.dtype == torch.float64 else inputs.float()), labels


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
