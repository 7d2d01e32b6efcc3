"""What counts as one feature: a column, a field with its embedding, a group of either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import format_feature_mask

__all__ = ["Features", "name_features"]


@dataclass(frozen=True)
class Features:
    """The features of a data set.

    Attributes
    ----------
    owners : tuple of Tensor, shape [1, *features] each
        int32 feature of each value, one tensor per input.
    names : tuple of str
        One for each feature.
    """

    owners: tuple[Tensor, ...]
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many features there are."""
        return len(self.names)


def name_features(
    inputs: tuple[Tensor, ...],
    *,
    feature_mask: Any = None,
    fields: Any = None,
    feature_names: Sequence[str] | None = None,
) -> Features:
    """Return what counts as one feature.

    Parameters
    ----------
    inputs : tuple of Tensor, shape [rows, *features] each
        Any batch.
    feature_mask : Tensor or tuple of Tensor, optional
        As for `pyxai.Game`; one for all rows.
    fields : sequence of int, or mapping of str to int, optional
        Widths of consecutive features along dimension 1, over all inputs; with their names.
    feature_names : sequence of str, optional
        One for each feature.

    Returns
    -------
    Features
        Without a mask or fields, every entry of dimension 1 is a feature with all that lies behind
        it: columns of a table, and fields of embeddings ``[rows, fields, size]``.

    Raises
    ------
    ValueError
        If both are given, or sizes do not fit.
    TypeError
        If ``fields`` is of another kind.
    """
    if feature_mask is not None and fields is not None:
        raise ValueError("fields must be None where feature_mask is given, got both")
    if feature_mask is not None:
        owners, count = _from_mask(feature_mask, inputs)
    else:
        sizes = [value.shape[1] if value.dim() > 1 else 1 for value in inputs]
        columns = _columns(fields, sum(sizes), inputs[0].device)
        count = int(columns[-1]) + 1
        owners = tuple(
            part.view(-1, *[1] * (value.dim() - 2)).expand(1, *value.shape[1:]).contiguous()
            if value.dim() > 1
            else part
            for part, value in zip(torch.split(columns, sizes), inputs, strict=True)
        )
    if isinstance(fields, Mapping) and feature_names is None:
        feature_names = list(fields)
    return Features(owners, _names(feature_names, count))


def _from_mask(feature_mask: Any, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], int]:
    players = format_feature_mask(feature_mask, inputs)
    owners = tuple(mask for mask in players.maps if mask is not None)
    for mask in owners:
        if mask.shape[0] != 1 and bool((mask != mask[:1]).any()):
            raise ValueError("feature_mask must be the same for all rows, got one per row")
    return tuple(mask[:1].contiguous() for mask in owners), players.n_players


def _columns(fields: Any, total: int, device: torch.device) -> Tensor:
    """Return the feature of each entry of dimension 1, int32 [total]."""
    if fields is None:
        return torch.arange(total, dtype=torch.int32, device=device)
    if isinstance(fields, str) or not isinstance(fields, (Mapping, Iterable)):
        raise TypeError(
            "fields must be a list of widths, or a mapping of names to widths, "
            f"got {describe(fields)}"
        )
    given = list(fields.values()) if isinstance(fields, Mapping) else list(fields)
    widths = [check_int("fields", width, minimum=1) for width in given]
    if sum(widths) != total:
        raise ValueError(f"fields must have widths that sum to {total}, got {sum(widths)}")
    index = torch.arange(len(widths), dtype=torch.int32, device=device)
    return index.repeat_interleave(torch.tensor(widths, device=device))


def _names(feature_names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if feature_names is None:
        return tuple(f"feature {index}" for index in range(count))
    names = tuple(str(name) for name in feature_names)
    if len(names) != count:
        raise ValueError(f"feature_names must have {count} entries, got {len(names)}")
    return names
