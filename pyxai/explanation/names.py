"""Names of features: one per feature or per group, for all examples or for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._inputs import format_feature_mask

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["as_names", "fit_names", "has_words", "names_of_row", "take_names"]


def as_names(name: str, names: Any) -> list[str] | list[list[str]]:
    """Return names as a list of strings, or as one such list for each example.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    names : iterable
        Of strings or of what has a text: the columns of a table, the keys of a dict, a range,
        NumPy's strings. Where all entries are lists or arrays, each holds the names of an example.

    Raises
    ------
    TypeError
        If it is a single string, has no order or is nothing of the kind.
    """
    if isinstance(names, (str, bytes, set, frozenset)) or not isinstance(names, Iterable):
        raise TypeError(f"{name} must be a sequence of names, got {describe(names)}")
    if getattr(names, "ndim", 1) == 0:
        raise TypeError(f"{name} must be a sequence of names, got {describe(names)}")
    listed = list(names)
    # A tuple is one name: that of a column below other headings.
    if listed and all(_is_list(entry) for entry in listed):
        return [[str(each) for each in entry] for entry in listed]
    return [str(each) for each in listed]


def fit_names(
    names: list[Any], rows: int, n_features: int, inputs: Any, feature_mask: Any = None
) -> list[Any]:
    """Return one name per feature, for all examples or a list for each.

    Parameters
    ----------
    names : list
        As `as_names` returns them: for features, or for the groups of the mask by their ids.
    rows, n_features : int
        Examples, and features of one.
    inputs, feature_mask : Tensor or tuple of Tensor
        What was explained, and its groups.

    Raises
    ------
    ValueError
        If there are not as many names as features, or as groups.
    """
    if not rows:
        return names
    each = bool(names) and isinstance(names[0], list)
    if each and len(names) != rows:
        raise ValueError(
            f"feature_names must have one list of names for each of {rows} examples, "
            f"got {len(names)}"
        )
    lists = names if each else [names]
    if all(len(row) == n_features for row in lists):
        return names
    owners = _owners(feature_mask, inputs, n_features)
    if owners is None:
        wrong = next(len(row) for row in lists if len(row) != n_features)
        raise ValueError(
            f"feature_names must have one name for each of {n_features} features, got {wrong}"
        )
    if not each and len(owners) > 1:  # groups of its own for each example
        lists = lists * len(owners)
    owners = owners.expand(len(lists), -1)
    found = [_of_groups(row, own, owners) for row, own in zip(lists, owners, strict=True)]
    return found if len(found) > 1 or each else found[0]


def has_words(explanation: Explanation) -> bool:
    """Tell whether each example has names of its own, as the words of a text are."""
    names: Any = explanation.feature_names
    return bool(names) and isinstance(names[0], list)


def names_of_row(explanation: Explanation) -> list[str] | None:
    """Return one name per feature, where all examples of an explanation have the same."""
    names: Any = explanation.feature_names
    if names is None or not len(explanation):
        return None
    if names and isinstance(names[0], list):
        if any(row != names[0] for row in names):
            return None
        names = names[0]
    return list(names)


def take_names(names: Any, rows: Tensor) -> Any:
    """Take the names of some examples where each has its own."""
    if names and isinstance(names[0], list):
        return [names[row] for row in rows.tolist()]
    return names


def _is_list(entry: Any) -> bool:
    return isinstance(entry, list) or (hasattr(entry, "tolist") and getattr(entry, "ndim", 0) > 0)


def _of_groups(names: list[str], own: Tensor, owners: Tensor) -> list[str]:
    """Return the names of one example's features out of those of its groups, or of all groups."""
    if len(names) == len(own):
        return names
    in_all = torch.unique(owners)
    in_row, of_row = torch.unique(own, return_inverse=True)
    if len(names) == len(in_all):
        of_row = torch.searchsorted(in_all, own)
    elif len(names) != len(in_row):
        raise ValueError(
            f"feature_names must have one name for each of {len(own)} features or of "
            f"{len(in_row)} groups, got {len(names)}"
        )
    return [names[group] for group in of_row.tolist()]


def _owners(mask: Any, inputs: Any, n_features: int) -> Tensor | None:
    """Return the group of each feature, int64 [1 or batch, features], where there are groups."""
    if mask is None:
        return None
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        owners = format_feature_mask(mask, inputs).owners.cpu()
    except (TypeError, ValueError):  # of other inputs than these; loaded as text
        return None
    return owners if owners.shape[1] == n_features else None
