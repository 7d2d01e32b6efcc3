"""Wavelets: a learnt one beside that of the beginning."""

from __future__ import annotations

from typing import Any

from pyxai._checks import describe
from pyxai.plot.axes import new_axes
from pyxai.plot.colours import NEGATIVE, POSITIVE
from pyxai.transforms import AdaptiveWavelet, wavelet_functions

__all__ = ["wavelet"]


def wavelet(
    found: AdaptiveWavelet, *, ax: Any = None, title: str | None = None, level: int = 8
) -> Any:
    """Draw the wavelet of a learnt filter, and the one that training began with.

    Parameters
    ----------
    found : AdaptiveWavelet
        Fitted.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.
    title : str, optional
        Heading.
    level : int
        Of the cascade that makes the functions.

    Returns
    -------
    matplotlib Axes
        The wavelets as lines, the learnt scaling function as a thin one.

    Raises
    ------
    TypeError
        If ``found`` is no `pyxai.transforms.AdaptiveWavelet`.
    ValueError
        If it is not fitted.
    ImportError
        If matplotlib is not installed.
    """
    if not isinstance(found, AdaptiveWavelet):
        raise TypeError(f"found must be an AdaptiveWavelet, got {describe(found)}")
    learnt = found.psi(level)
    start = wavelet_functions(found.start_, level)
    ax = new_axes(ax)
    ax.axhline(0, color="0.8", linewidth=0.8)
    ax.plot(
        start.x, start.psi, color=NEGATIVE, linewidth=1.2, linestyle="--", label="wavelet before"
    )
    ax.plot(learnt.x, learnt.psi, color=POSITIVE, linewidth=1.8, label="wavelet learnt")
    ax.plot(learnt.x, learnt.phi, color="0.55", linewidth=1.0, label="scaling function learnt")
    ax.set_xlabel("position, in samples of the finest level")
    ax.set_ylabel("value")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    if title:
        ax.set_title(title)
    return ax
