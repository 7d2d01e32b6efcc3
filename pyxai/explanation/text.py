"""How an explanation reads in a log."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pyxai.explanation.groups import (
    Groups,
    flat_attributions,
    groups_of,
    is_unsigned,
    quantity,
)
from pyxai.explanation.names import names_of_row
from pyxai.explanation.numbers import number, rounding, shortened
from pyxai.runner import DIRECT

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = [
    "facts",
    "feature_label",
    "group_label",
    "one_line",
    "summary",
    "top_features",
]

WIDTH = 96  # characters of a line, so that log prefixes fit into 120


def one_line(explanation: Explanation) -> str:
    """Say what the explanation is, for lists and debuggers."""
    return (
        f"<Explanation by {explanation.method or 'an unnamed method'}: "
        f"{_shape(explanation.attributions)}>"
    )


def summary(explanation: Explanation) -> str:
    """Say method, arguments, shapes, leading features and completeness in a few lines."""
    title = f"Explanation by {explanation.method or 'an unnamed method'}"
    told = list(facts(explanation))
    width = max(len(name) for name, _ in told)
    lines = [title, *(_field(name.ljust(width), text) for name, text in told)]
    rows = len(explanation)
    if rows:
        what = quantity(explanation)
        best = [(shortened(name), value) for name, value in top_features(explanation, 5)]
        by = what if rows == 1 else f"mean |{what}| over {rows} examples"
        what = "units" if explanation.of_layer else "features"
        lines.append(f"  top {len(best)} {what} by {by}")
        width = max((len(name) for name, _ in best), default=0)
        # Sizes have no sign; and what rounding leaves of a zero is one.
        form = "+.4g" if rows == 1 and not is_unsigned(explanation) else ".4g"
        zero = rounding(*_parts(explanation.attributions))
        lines += [f"    {name:<{width}}  {number(value, form, zero)}" for name, value in best]
    return "\n".join(lines)


def facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Yield name and text of what was asked, and of how well it was answered."""
    yield "inputs", _shape(explanation.inputs)
    yield "baselines", _value(explanation.baselines)
    yield "target", _value(explanation.target)
    for name, value in explanation.options.items():
        yield name, _value(value)
    yield "attributions", _shape(explanation.attributions)
    if explanation.path != DIRECT:
        yield "path", explanation.path
    if explanation.outputs is not None:
        yield "outputs", _value(explanation.outputs)
    delta = explanation.convergence_delta
    if delta is not None and delta.numel():
        # The largest miss is what a reader must judge; a mean of signed deltas would cancel.
        yield "delta", f"{float(delta.double().abs().max()):.3g} at most, in output units"
    error = explanation.error
    if error is not None:
        parts = [part for part in _parts(error) if part.numel()]
        worst = max((float(part.double().max()) for part in parts), default=0.0)
        yield "error", f"{worst:.3g} at most, standard error of an attribution"


def _field(name: str, text: str) -> str:
    lead = f"  {name} "
    text = text[: 8 * WIDTH]  # what a reader will not see takes time
    return lead + textwrap.shorten(text, WIDTH - len(lead), placeholder=" ...")


def _parts(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def _shape(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shape(part) for part in value)
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"


def _value(value: Any) -> str:
    """Show small values and the shape of large ones."""
    if isinstance(value, Tensor):
        if value.dim() > 1 or value.numel() > 16:
            return _shape(value)
        digits = 4
        items = value.tolist() if value.dim() else [value.item()]
        shown = [
            number(item, f".{digits}g", 0.0) if isinstance(item, float) else str(item)
            for item in items
        ]
        return f"[{', '.join(shown)}]"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(_value(part) for part in value)
        comma = "," if len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return repr(value)


def top_features(explanation: Explanation, n: int) -> list[tuple[str, float]]:
    """Return names and values of the ``n`` features of largest absolute attribution."""
    if not len(explanation):
        return []
    groups, rows = groups_of(explanation), flat_attributions(explanation)
    rows = rows[:, groups.first]
    values = rows[0] if len(rows) == 1 else rows.abs().mean(0)
    # A stable sort gives ties to the lower index.
    order = values.abs().nan_to_num(torch.inf).sort(descending=True, stable=True).indices[:n]
    return [
        (group_label(explanation, groups, index), float(values[index])) for index in order.tolist()
    ]


def group_label(explanation: Explanation, groups: Groups, index: int) -> str:
    """Return the name of a group: that of all its features, or the first and how many more."""
    label, size = feature_label(explanation, int(groups.first[index])), int(groups.sizes[index])
    if size == 1:
        return label
    names = names_of_row(explanation)
    if names is not None:
        members = (groups.of_features == index).nonzero()[:, 0].tolist()
        if all(names[member] == label for member in members):
            return label  # the name of the group
    return f"{label} and {size - 1} more"


def feature_label(explanation: Explanation, index: int) -> str:
    """Return the name of a feature: the given one, else its position.

    Parameters
    ----------
    explanation : Explanation
        May have names.
    index : int
        Number of the feature among the flattened features of all inputs.
    """
    names = names_of_row(explanation)
    if names is not None:
        return names[index]
    parts = _parts(explanation.attributions)
    number = 0
    while index >= parts[number].shape[1:].numel():
        index -= parts[number].shape[1:].numel()
        number += 1
    # An input of one number for each example has a feature without axes.
    sizes = tuple(parts[number].shape[1:]) or (1,)
    place = [int(axis) for axis in np.unravel_index(index, sizes)]
    prefix = f"input {number} " if len(parts) > 1 else ""
    noun = "unit" if explanation.of_layer else "feature"
    return f"{prefix}{noun} {place[0] if len(place) == 1 else place}"
