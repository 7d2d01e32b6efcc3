"""An explanation as a table of pandas."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai._extras import optional
from pyxai._inputs import flat_features
from pyxai.explanation.balance import is_of_all_outputs, of_each_output
from pyxai.explanation.groups import (
    Groups,
    MaskGroups,
    groups_of,
    mask_groups,
    scores_of_groups,
)
from pyxai.explanation.names import has_words, names_of_row
from pyxai.explanation.text import feature_label, group_label

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["to_pandas"]

_WHAT = ("attributions", "error", "inputs", "display_values")


def to_pandas(explanation: Explanation, what: str) -> Any:
    """Return one table; see `Explanation.to_pandas`."""
    check_choice("what", what, _WHAT)
    with optional("to_pandas needs", "pandas"):
        pandas = importlib.import_module("pandas")
    if getattr(explanation, what) is None:
        raise ValueError(f"what must be something that the explanation has, got {what!r}")
    index = pandas.RangeIndex(len(explanation), name="example")
    if what in ("inputs", "display_values"):
        columns, values = _features(explanation, what)
    else:
        columns, values = _players(explanation, what)
        if explanation.outputs is not None and is_of_all_outputs(explanation):
            outputs = range(explanation.outputs.shape[1])
            names = ["example", "output"]
            index = pandas.MultiIndex.from_product([index, outputs], names=names)
    table = pandas.DataFrame(values, index=index, columns=columns)
    table.attrs = {"method": explanation.method, "target": str(explanation.target)}
    return table


def _players(explanation: Explanation, what: str) -> tuple[list[str], Any]:
    """Return the names of the players and their values, example by example, output by output."""
    parts = [_named_alike(each, at) for at, each in enumerate(of_each_output(explanation))]
    masked = mask_groups(parts[0])
    if masked is not None and masked.differ:  # a column for each number of the mask
        found = [scores_of_groups(part, getattr(part, what)).double().cpu() for part in parts]
        return _names_of_ids(parts[0], masked), torch.stack(found, 1).flatten(0, 1).numpy()
    groups = [groups_of(part) for part in parts]
    labels = list(map(_labels, parts, groups))
    columns = labels[0]
    if any(each != columns for each in labels):  # they tell outputs apart, in which rows differ
        columns = _labels(replace(parts[0], feature_names=None), groups[0])
    values = [
        _flat(getattr(part, what)).double()[:, own.first]
        for part, own in zip(parts, groups, strict=True)
    ]
    return columns, torch.stack(values, 1).flatten(0, 1).numpy()


def _labels(explanation: Explanation, groups: Groups) -> list[str]:
    names = names_of_row(explanation)
    if names is not None and len(names) == len(groups.first):
        return names
    return [group_label(explanation, groups, index) for index in range(len(groups.first))]


def _names_of_ids(explanation: Explanation, masked: MaskGroups) -> list[str]:
    """Return the names of groups that rows have of their own; numbers where rows disagree."""
    names: Any = explanation.feature_names
    found: list[set[str]] = [set() for _ in masked.ids]
    if has_words(explanation):
        for row, first in zip(names, masked.first.tolist(), strict=True):
            for known, place in zip(found, first, strict=True):
                known.update(row[place : place + 1])  # none where the row lacks the group
    return [
        known.pop() if len(known) == 1 else f"group {number}"
        for known, number in zip(found, masked.ids.tolist(), strict=True)
    ]


def _named_alike(explanation: Explanation, output: int) -> Explanation:
    """Take what `explain` puts before the columns of each output away from their names."""
    names, lead = names_of_row(explanation), f"output {output} "
    if names is None or not all(name.startswith(lead) for name in names):
        return explanation
    return replace(explanation, feature_names=[name.removeprefix(lead) for name in names])


def _features(explanation: Explanation, what: str) -> tuple[list[str], Any]:
    """Return the names of the features of all inputs, and their values."""
    flat = _flat(explanation.inputs)
    # As one would be named that was attributed to.
    alone = replace(
        explanation,
        attributions=explanation.inputs,
        error=None,
        options={},
        feature_names=None,
        of_layer=False,
    )
    columns = names_of_row(_named_alike(of_each_output(explanation)[0], 0))
    if columns is None or explanation.of_layer or len(columns) != flat.shape[1]:
        columns = [feature_label(alone, index) for index in range(flat.shape[1])]
    return columns, explanation.display_values if what == "display_values" else flat.numpy()


def _flat(value: Any) -> Tensor:
    """Return the values of all inputs side by side, [batch, features], in a dtype of NumPy's."""
    parts = value if isinstance(value, tuple) else (value,)
    flat = torch.cat([flat_features(part.detach()).cpu() for part in parts], 1)
    return flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
