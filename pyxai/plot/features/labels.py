"""What stands beside a bar: the name of a player, its value, and its standard error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pyxai.explanation import Explanation
from pyxai.explanation.groups import flat_attributions, groups_of
from pyxai.explanation.names import has_words
from pyxai.explanation.numbers import shortened
from pyxai.explanation.text import group_label
from pyxai.plot.axes import as_array, as_explanation, plain

__all__ = ["flat", "named_anew", "player_labels", "rest_label"]


def named_anew(
    explanation: Any, feature_names: Any, display_values: Any
) -> tuple[Explanation, bool]:
    """Return an explanation with the names and values given, and whether it has values to show.

    A tensor or an array is the attributions of a batch, whose inputs are not known.

    Raises
    ------
    ValueError
        If there are no examples or no features, or names or values do not fit.
    """
    shown = as_explanation(explanation, "explanation", feature_names)
    counts = {"example": len(shown), "feature": flat_attributions(shown).shape[1]}
    for name, count in counts.items():
        if not count:
            raise ValueError(f"explanation must have at least one {name}, got 0")
    given = shown is explanation
    if given and feature_names is not None:
        shown = replace(shown, feature_names=feature_names)
    if display_values is not None:
        shown = replace(shown, display_values=display_values)
    return shown, given or display_values is not None


def player_labels(explanation: Explanation, order: Any, with_values: bool) -> tuple[list[str], Any]:
    """Return the names of some players, and their standard errors where they are known.

    With values, those of the first example stand beside the names of single features: its
    ``display_values``, else its inputs, where they are what was attributed to.
    """
    groups = groups_of(explanation)
    labels = [plain(group_label(explanation, groups, index)) for index in order.tolist()]
    values = _values(explanation, len(groups.of_features)) if with_values else None
    if values is not None:
        firsts, sizes = groups.first[order].tolist(), groups.sizes[order].tolist()
        labels = [
            f"{label} = {values[first]}" if size == 1 else label
            for label, first, size in zip(labels, firsts, sizes, strict=True)
        ]
    error = explanation.error
    return labels, None if error is None else flat(error)[0][groups.first][order]


def rest_label(explanation: Explanation, others: int) -> str:
    """Return the name of the bar of all other players."""
    noun = "group" if bool((groups_of(explanation).sizes > 1).any()) else "feature"
    return f"rest ({others} {noun}{'s' * (others > 1)})"


def flat(value: Any) -> np.ndarray[Any, Any]:
    """Return the values of all inputs side by side, float64 [batch, features]."""
    parts = value if isinstance(value, tuple) else (value,)
    return np.concatenate(
        [as_array(part, "explanation").reshape(len(part), -1) for part in parts], 1
    )


def _values(explanation: Explanation, n_features: int) -> list[str] | None:
    """Return the text of each feature's value at the first example.

    The numbers behind words, ids or ones for those that are present, say nothing to a reader.
    """
    shown = explanation.display_values
    if explanation.of_layer or (shown is None and has_words(explanation)):
        return None
    if shown is not None:
        found = [_written(value) for value in shown[0]]
    else:
        found = [format(value, ".3g") for value in flat(explanation.inputs)[0].tolist()]
    return found if len(found) == n_features else None  # others than a layer's, or of all outputs


def _written(value: Any) -> str:
    """Write a value as it was given: numbers with at most four digits behind a leading zero."""
    if isinstance(value, float):
        return format(value, ".4g") if abs(value) < 1e4 else f"{value:.0f}"
    return plain(shortened(str(value), 24))
