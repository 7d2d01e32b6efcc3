"""Curves of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyxai._checks import describe
from pyxai.explanation.curve import Curve
from pyxai.plot.axes import new_axes

__all__ = ["curve"]


def curve(curves: Curve | Mapping[str, Curve], *, ax: Any = None, title: str | None = None) -> Any:
    """Draw the mean curve over the examples, with the quartiles as a band.

    Parameters
    ----------
    curves : Curve or mapping of str to Curve
        One, or several by name to compare.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.
    title : str, optional
        Heading.

    Returns
    -------
    matplotlib Axes
        Labelled with the area under each mean curve; NaN rows (skipped images) are left out. Where
        no row is left the label says so.

    Raises
    ------
    TypeError
        If ``curves`` is neither a curve nor a mapping of names to curves.
    ImportError
        If matplotlib is not installed.
    """
    named = {curves.name: curves} if isinstance(curves, Curve) else curves
    if not isinstance(named, Mapping) or not all(isinstance(c, Curve) for c in named.values()):
        raise TypeError(f"curves must be a Curve or a mapping of them, got {describe(curves)}")
    if not named:
        raise ValueError("curves must hold at least one curve, got none")
    ax = new_axes(ax)
    for name, each in named.items():
        even = each.on_one_axis()
        x, y = even.x.cpu().numpy(), even.y[~even.y.isnan().any(1)].cpu()
        if not len(y):
            ax.plot([], [], label=f"{name} (no curve: {len(each)} of {len(each)} skipped)")
            continue
        mean = y.mean(0).numpy()
        label = f"{name} (area {each.auc.nanmean().item():.3f})"
        (line,) = ax.plot(x, mean, label=label, linewidth=1.8)
        if len(y) > 3:
            low, high = y.quantile(0.25, 0).numpy(), y.quantile(0.75, 0).numpy()
            ax.fill_between(x, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    one = next(iter(named.values()))
    ax.set_xlabel(one.x_name)
    ax.set_ylabel(one.name)
    ax.set_xlim(0, 1)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    if title:
        ax.set_title(title)
    return ax
