"""Attributions of the leading features as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_finite, check_int
from pyxai.explanation import Explanation
from pyxai.explanation.balance import player_values
from pyxai.explanation.groups import adds_up, is_unsigned, quantity
from pyxai.explanation.numbers import number, rounding
from pyxai.plot.axes import new_axes, one_example
from pyxai.plot.colours import NEGATIVE, POSITIVE
from pyxai.plot.features.labels import named_anew, player_labels, rest_label

__all__ = ["bar"]


def bar(
    explanation: Any,
    *,
    example: int | None = None,
    feature_names: Sequence[str] | None = None,
    display_values: Any = None,
    top: int = 10,
    rest: bool | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the features of largest absolute attribution, largest on top.

    Features that were one player, by a ``feature_mask`` or as a region of XRAI, are one bar.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [features] or [batch, *features]
        One example gives its signed attributions, with the input values beside the names and the
        standard error where it is known. Several give the mean over the examples of the absolute
        attribution.
    example : int, optional
        Draw this example of the batch only.
    feature_names : sequence of str, optional
        Names of the flattened features; default: those of the explanation, else positions.
    display_values : array or table, shape [batch, *features], optional
        What stands beside the names of one example in place of the inputs, such as values before
        they were standardised; numbers or words. Default: those of the explanation.
    top : int
        How many features to draw.
    rest : bool, optional
        Whether what the other features add up to is one more bar; default: unless they are ranks or
        means of regions, whose sums mean nothing.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Horizontal axis in output units, or in ranks.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the explanation is empty or not finite, or ``top``, ``example``, ``feature_names`` or
        ``display_values`` do not fit.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_int("top", top, minimum=1)
    shown, with_values = named_anew(explanation, feature_names, display_values)
    if example is not None:
        shown = one_example(shown, example)
    check_finite("explanation", player_values(shown))
    rest = adds_up(shown) if rest is None else check_bool("rest", rest)
    labels, values, errors = _bars(shown, top, rest, with_values)
    ax = new_axes(ax, (3.6 + 0.08 * max(35, *map(len, labels)), 1.2 + 0.3 * len(values)))
    single = len(shown) == 1
    zero = rounding(*_parts(shown.attributions))
    form = "+.3g" if single and not is_unsigned(shown) else ".3g"
    _draw(ax, labels, values, errors, [number(value, form, zero) for value in values])
    what = quantity(shown)
    ax.set_xlabel(what if single else f"mean |{what}| over {len(shown)} examples")
    ax.set_title(shown.method.replace("_", " ") if title is None else title)
    return ax


def _bars(
    explanation: Explanation, top: int, rest: bool, with_values: bool
) -> tuple[list[str], Any, Any]:
    """Return labels, lengths and standard errors of the bars, the rest last."""
    rows = player_values(explanation).numpy()
    single = len(rows) == 1
    values = rows[0] if single else np.abs(rows).mean(0)
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    labels, errors = player_labels(explanation, order, with_values and single)
    bars, others = values[order], len(values) - len(order)
    if rest and others:
        labels.append(rest_label(explanation, others))
        bars = np.append(bars, np.delete(values, order).sum())
        # The errors of the features are not independent, so the rest has no known error.
        errors = None if errors is None else np.append(errors, np.nan)
    return labels, bars, errors if single else None


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _draw(ax: Any, labels: list[str], values: Any, errors: Any, texts: list[str]) -> None:
    places = np.arange(len(values))[::-1]
    colours = [POSITIVE if value >= 0 else NEGATIVE for value in values]
    ax.barh(places, values, color=colours, xerr=errors, ecolor="0.3", capsize=2, height=0.7)
    ax.set_yticks(places, labels)
    ax.axvline(0, color="0.3", linewidth=0.8)
    # The numbers stand beyond the bar and its error, and the axis leaves room for them.
    reach = np.abs(values) + (0 if errors is None else np.nan_to_num(errors))
    low, high = float((-reach * (values < 0)).min()), float((reach * (values >= 0)).max())
    room = 0.18 * ((high - low) or 1.0)
    ax.set_xlim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    for place, value, length, text in zip(places, values, reach, texts, strict=True):
        side = 1 if value >= 0 else -1
        ax.text(
            side * (length + 0.1 * room),
            place,
            text,
            ha="left" if side > 0 else "right",
            va="center",
            fontsize="small",
        )
    for edge in ("top", "right"):
        ax.spines[edge].set_visible(False)
