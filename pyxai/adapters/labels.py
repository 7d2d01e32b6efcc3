"""Classes of a classifier by name, number, or as it predicts them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pyxai._checks import describe

__all__ = ["class_names", "each_target", "targets_of"]


def class_names(labels: Any, model: Any) -> dict[int, str]:
    """Return the names of classes by number; of a model's configuration where none are given.

    Raises
    ------
    TypeError
        If labels are neither a list of names nor a mapping from numbers to names.
    ValueError
        If two classes have one name.
    """
    if labels is None:
        labels = getattr(getattr(model, "config", None), "id2label", None) or {}
    if isinstance(labels, Mapping):
        names = {int(number): str(name) for number, name in labels.items()}
    elif isinstance(labels, Sequence) and not isinstance(labels, (str, bytes)):
        names = {number: str(name) for number, name in enumerate(labels)}
    else:
        raise TypeError(
            f"labels must be a list of names or a mapping to them, got {describe(labels)}"
        )
    if len({*names.values()}) < len(names):
        raise ValueError(f"labels must have a name of its own for each class, got {names}")
    return names


def each_target(target: Any, count: int, what: str) -> list[Any]:
    """Return the target of each example as the user says it.

    Parameters
    ----------
    target : None, int, str, or list of these, or Tensor
        One for all, or one for each.
    count : int
        Examples.
    what : str
        What they are.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    if isinstance(target, Tensor):
        target = target.tolist()
    each = list(target) if isinstance(target, (list, tuple)) else [target] * count
    if len(each) != count:
        raise ValueError(
            f"target must be one for all {what} or one for each of {count}, got {len(each)}"
        )
    return each


def targets_of(goals: Sequence[Any], outputs: Tensor, names: dict[int, str]) -> list[int]:
    """Return the class that is explained of each example.

    Parameters
    ----------
    goals : sequence of None, int or str
        One for each example; ``None``: the class of the largest output.
    outputs : Tensor, shape [batch, classes]
    names : dict
        As `class_names` returns them.

    Raises
    ------
    ValueError
        If there is no such class.
    TypeError
        If a goal is none of these.
    """
    best = outputs.argmax(1).tolist()
    return [
        best[row] if goal is None else _number(goal, outputs.shape[1], names)
        for row, goal in enumerate(goals)
    ]


def _number(target: Any, count: int, names: dict[int, str]) -> int:
    if isinstance(target, str):
        known = {name: number for number, name in names.items()}
        if not known:
            raise ValueError(
                f"labels must be given to say a target by name, got None for {target!r}"
            )
        if target not in known:
            folded = {name.casefold(): name for name in known}
            close = difflib.get_close_matches(target.casefold(), folded, n=1, cutoff=0.0)
            raise ValueError(
                f"target must be a label of the model, got {target!r}; did you mean "
                f"{folded[close[0]]!r}? There are {', '.join(map(repr, known))}"
            )
        target = known[target]
    if not isinstance(target, int) or isinstance(target, bool):
        raise TypeError(f"target must be None, a class or the label of one, got {describe(target)}")
    if not 0 <= target < count:
        raise ValueError(f"target must be from 0 to {count - 1}, got {target}")
    return target
