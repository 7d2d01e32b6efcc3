"""From the base value to the output, one attribution after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from pyxai._checks import check_finite, check_int, check_number
from pyxai.explanation import Explanation
from pyxai.explanation.balance import balance_of, player_values
from pyxai.explanation.groups import adds_up
from pyxai.explanation.numbers import number
from pyxai.plot.axes import new_axes, one_example, single_output
from pyxai.plot.colours import NEGATIVE, POSITIVE
from pyxai.plot.features.labels import named_anew, player_labels, rest_label

__all__ = ["waterfall"]


def waterfall(
    explanation: Any,
    *,
    example: int = 0,
    feature_names: Sequence[str] | None = None,
    display_values: Any = None,
    base_value: float | None = None,
    top: int = 10,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw how the attributions of one example lead from the base value to the output.

    Read from top to bottom: each bar begins where the one above ends. Where the attributions do not
    add up, what is missing is a bar of its own.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [features] or [batch, *features]
        Of one output, with ``convergence_delta`` and ``outputs``, or with a ``base_value`` here.
    example : int
        Which example of the batch.
    feature_names : sequence of str, optional
        Names of the flattened features; default: those of the explanation, else positions.
    display_values : array or table, shape [batch, *features], optional
        What stands beside the names in place of the inputs, such as values before they were
        standardised; numbers or words. Default: those of the explanation.
    base_value : float, optional
        Output at the baseline, in output units; default: what outputs, attributions and
        convergence delta say.
    top : int
        How many features have bars of their own; the others are one bar, which says how many.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Horizontal axis in output units.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the base value is not known, attributions are not finite, or are ranks or means of
        regions, whose sum means nothing, all outputs were explained at once, or an argument does
        not fit.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_int("top", top, minimum=1)
    shown, with_values = named_anew(explanation, feature_names, display_values)
    shown = single_output(one_example(shown, example))
    if not adds_up(shown):
        raise ValueError(
            "explanation must have attributions whose sum means something, "
            f"got those of {shown.method!r}; draw them with plot.bar"
        )
    check_finite("explanation", player_values(shown))
    ends = _ends(shown, base_value)
    labels, steps, errors = _steps(shown, top, with_values)
    total = float(player_values(shown).sum())
    seen = 1e-3 * max(abs(ends.output - ends.base), float(np.abs(steps).max(initial=0.0)))
    missing = ends.output - ends.base - total
    if abs(missing) > seen:
        labels, steps = [*labels, "missing: does not add up"], np.append(steps, missing)
        errors = None if errors is None else np.append(errors, np.nan)
    ax = new_axes(ax, (3.6 + 0.08 * max(35, *map(len, labels)), 1.5 + 0.32 * len(steps)))
    _draw(ax, labels, steps, errors, ends, abs(missing) > seen)
    ax.set_xlabel("output")
    ax.set_title(shown.method.replace("_", " ") if title is None else title)
    return ax


class _Ends(NamedTuple):
    base: float
    output: float
    end: str
    """What stands at the end: the output, or what the attributions add up to."""


def _ends(explanation: Explanation, base_value: float | None) -> _Ends:
    """Return base value and output."""
    total = float(player_values(explanation).sum())
    outputs = explanation.outputs
    if base_value is not None:
        base = check_number("base_value", base_value)
        if outputs is None:
            return _Ends(base, base + total, "base value and attributions")
        return _Ends(base, float(outputs.double().reshape(-1)[0]), "output")
    balance = balance_of(explanation)
    if balance is None:
        raise ValueError(
            "base_value must be given where the explanation has no outputs with a "
            "convergence_delta, which tell it, got None"
        )
    return _Ends(float(balance.base[0]), float(balance.output[0]), "output")


def _steps(explanation: Explanation, top: int, with_values: bool) -> tuple[list[str], Any, Any]:
    """Return labels, lengths and standard errors of the bars, the rest last."""
    values = player_values(explanation)[0].numpy()
    order = np.argsort(-np.abs(values), kind="stable")
    # A rest of one feature is that feature.
    order = order if len(order) <= top + 1 else order[:top]
    labels, errors = player_labels(explanation, order, with_values)
    steps, others = values[order], len(values) - len(order)
    if others:
        labels.append(rest_label(explanation, others))
        steps = np.append(steps, values.sum() - steps.sum())
        errors = None if errors is None else np.append(errors, np.nan)
    return labels, steps, errors


def _draw(ax: Any, labels: list[str], steps: Any, errors: Any, ends: _Ends, missing: bool) -> None:
    starts = ends.base + np.concatenate([[0.0], np.cumsum(steps)])
    places = np.arange(len(steps))[::-1] + 1
    colours = [POSITIVE if step >= 0 else NEGATIVE for step in steps]
    bars = ax.barh(
        places, steps, left=starts[:-1], color=colours, xerr=errors, ecolor="0.3", height=0.66
    )
    if missing:
        bars[-1].set(facecolor="0.75", hatch="//", edgecolor="0.4")
    # From the end of each bar to the next; the ends of all are a line each.
    links = np.stack([starts, starts])
    tops, bottoms = np.append(places[0] + 1, places), np.append(places, 0)
    for link, upper, lower in zip(links.T, tops, bottoms, strict=True):
        ax.plot(link, (upper, lower), color="0.5", linewidth=0.8, zorder=0)
    last = f"{ends.end} = {number(ends.output, '.4g')}"
    names = [f"base value = {number(ends.base, '.4g')}", *labels, last]
    ax.set_yticks(np.arange(len(names))[::-1], names)
    ax.plot([ends.base, ends.output], [places[0] + 1, 0], "D", color="0.3", markersize=5)
    low, high = float(starts.min()), float(starts.max())
    room = 0.25 * ((high - low) or 1.0)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(-0.6, len(names) - 0.4)
    zero = 4 * torch.finfo(torch.float64).eps * max(1.0, abs(low), abs(high))
    for place, start, step in zip(places, starts, steps, strict=False):
        right = step >= 0
        ax.text(
            start + step + (0.06 if right else -0.06) * room,
            place,
            number(step, "+.3g", zero),
            ha="left" if right else "right",
            va="center",
            fontsize="small",
        )
    for edge in ("top", "right"):
        ax.spines[edge].set_visible(False)
