"""Curves of a model that is shown more and more features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pyxai._checks import describe
from pyxai.plot.axes import new_axes
from pyxai.selection import FeatureSelection, SelectionCurve

__all__ = ["selection"]

_NAMES = {"loss": "mean loss", "roc_auc": "ROC-AUC", "accuracy": "accuracy"}


def selection(curves: Any, *, ax: Any = None, title: str | None = None) -> Any:
    """Draw a quality of the model over the number of features that it is shown.

    Parameters
    ----------
    curves : FeatureSelection, SelectionCurve, or mapping of str to those
        One, or several by name to compare; all of one metric.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.
    title : str, optional
        Heading.

    Returns
    -------
    matplotlib Axes
        Labelled with the mean of each curve from one feature on, over those numbers of features
        that all curves have.

    Raises
    ------
    TypeError
        If ``curves`` is something else.
    ValueError
        If there is none, they differ in their metric, or a selection has no curve.
    ImportError
        If matplotlib is not installed.
    """
    given = curves if isinstance(curves, Mapping) else {"": curves}
    named = {name: _curve_of(each) for name, each in given.items()}
    metrics = {each.metric for each in named.values()}
    if len(metrics) != 1:
        raise ValueError(f"curves must be of one metric, got {sorted(metrics) or 'none'}")
    ax = new_axes(ax)
    means = _means(list(named.values()))
    for (name, each), mean in zip(named.items(), means, strict=True):
        label = f"{name} ({mean})" if name else mean
        line = "--" if name.lower().startswith("random") else "-"
        ax.plot(each.sizes.numpy(), each.values.numpy(), line, label=label, linewidth=1.8)
    ax.set_xlabel("number of features shown")
    ax.set_ylabel(_NAMES[metrics.pop()])
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    if title:
        ax.set_title(title)
    return ax


def _means(curves: list[SelectionCurve]) -> list[str]:
    """Say the mean of each curve over the sizes that all of them have."""
    common = set.intersection(*(set(each.sizes.tolist()) for each in curves)) - {0}
    if not common:
        return ["no common sizes"] * len(curves)
    sizes = torch.tensor(sorted(common))
    cut = any(len(each.sizes[each.sizes > 0]) > len(common) for each in curves)
    over = f" over {sizes[0]} to {sizes[-1]}" if cut else ""
    return [
        f"mean {float(each.values[torch.isin(each.sizes, sizes)].mean()):.3f}{over}"
        for each in curves
    ]


def _curve_of(value: Any) -> SelectionCurve:
    if isinstance(value, FeatureSelection):
        if value.curve is None:
            raise ValueError("curves must have been computed, got a selection with curve=False")
        value = value.curve
    if not isinstance(value, SelectionCurve):
        raise TypeError(
            "curves must be a FeatureSelection, a SelectionCurve or a mapping of them, "
            f"got {describe(value)}"
        )
    return value
