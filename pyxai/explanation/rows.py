"""Taking some examples of a call: what has a row for each example follows, the rest stays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.runner import Targets

__all__ = [
    "row_numbers",
    "take_baselines",
    "take_options",
    "take_rows",
    "take_segments",
    "take_target",
]


def row_numbers(index: Any, rows: int) -> Tensor:
    """Return the numbers of the rows that an index chooses, on the CPU wherever the index is.

    Raises
    ------
    IndexError
        If a number is out of range.
    TypeError
        If the index is no int, slice, list, array or tensor.
    """
    if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
        index = operator.index(index)
        if not -rows <= index < rows:
            raise IndexError(f"index must be within the {rows} example(s), got {index}")
        return torch.tensor([index % rows])
    if isinstance(index, (slice, list, Tensor, np.ndarray)):
        chosen: Tensor = torch.arange(rows)[index.cpu() if isinstance(index, Tensor) else index]
        return chosen.reshape(-1)
    raise TypeError(f"index must be an int, a slice or a list of rows, got {describe(index)}")


def take_rows(value: Any, rows: Tensor, batch: int) -> Any:
    """Take rows of tensors that have one row, or the same number of rows, for each example.

    ``rows`` may repeat and reorder examples. Values of another kind or size come back unchanged.
    """
    if isinstance(value, tuple):
        return tuple(take_rows(part, rows, batch) for part in value)
    if not isinstance(value, Tensor) or value.dim() == 0 or batch == 0 or value.shape[0] % batch:
        return value
    blocks = value.reshape(batch, value.shape[0] // batch, *value.shape[1:])
    return blocks[rows.to(value.device)].flatten(0, 1)


def take_baselines(baselines: Any, inputs: Tensor | tuple[Tensor, ...], rows: Tensor) -> Any:
    """Take rows of baselines that are given per example; others are for all examples."""
    if isinstance(baselines, (tuple, list)) and isinstance(inputs, tuple):
        return tuple(
            take_baselines(part, tensor, rows)
            for part, tensor in zip(baselines, inputs, strict=True)
        )
    if not isinstance(baselines, Tensor) or not isinstance(inputs, Tensor):
        return baselines
    # One baseline for all examples has no batch dimension or one of size 1.
    if baselines.dim() != inputs.dim() or baselines.shape[0] != inputs.shape[0]:
        return baselines
    return baselines[rows.to(baselines.device)]


def take_target(target: Any, rows: Tensor, batch: int) -> Any:
    """Take rows of a target that is given per example: a list, or a vector of several numbers.

    Raises
    ------
    ValueError
        If there are several targets for the outputs of one example, which is copied: each copy
        would be taken to have one of them. Copies go one at a time then.
    """
    if isinstance(target, Targets):
        return Targets([take_target(each, rows, batch) for each in target.as_given])
    if isinstance(target, list) and len(target) == batch:
        return [target[row] for row in rows.tolist()]
    if type(target).__module__ == "numpy":
        target = torch.as_tensor(target)
    if isinstance(target, Tensor) and target.shape == (batch,):
        return target[rows.to(target.device)]
    several = isinstance(target, list) or (isinstance(target, Tensor) and target.dim() > 0)
    if batch == 1 and len(rows) > 1 and several and len(target) > 1:
        raise ValueError(
            "target must be that of one example where it is copied, "
            f"got {len(target)} for its outputs"
        )
    return target


def take_segments(segments: Any, rows: Tensor, batch: int) -> Any:
    """Take rows of segments that are given per example, in a form that `XRAI` takes.

    That is a list, or integers [batch, height, width]; others are for all examples.
    """
    if isinstance(segments, (tuple, list)):
        return [segments[row] for row in rows.tolist()] if len(segments) == batch else segments
    if not isinstance(segments, Tensor) or segments.dtype == torch.bool or segments.dim() != 3:
        return segments
    return segments[rows.to(segments.device)] if len(segments) == batch else segments


def take_options(
    options: dict[str, Any], masked: Tensor | tuple[Tensor, ...], rows: Tensor
) -> dict[str, Any]:
    """Take rows of the options that name the players of each example; the others stay.

    ``masked`` has the form of a feature mask: the inputs, or the attributions to a layer.
    """
    batch = len(masked[0] if isinstance(masked, tuple) else masked)
    taken = dict(options)
    for name in ("feature_mask", "layer_mask"):
        if name in taken:
            taken[name] = take_baselines(taken[name], masked, rows)
    if "segments" in taken:
        taken["segments"] = take_segments(taken["segments"], rows, batch)
    return taken
