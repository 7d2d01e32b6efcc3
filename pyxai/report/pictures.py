"""Matplotlib figures as embedded PNGs, one for each colour scheme of the reader's screen."""

from __future__ import annotations

import base64
import html
import importlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture"]

COMMON: dict[str, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def _scheme(ink: str, soft: str, card: str) -> dict[str, Any]:
    names = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor")
    lines = ("axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **COMMON,
        **dict.fromkeys(names, ink),
        "ytick.labelcolor": ink,
        **dict.fromkeys(lines, soft),
        "grid.color": soft,
        "axes.facecolor": card,
        "legend.facecolor": card,
        "legend.edgecolor": soft,
    }


LIGHT = _scheme("#20222a", "#8a8f9c", "#ffffff")
DARK = _scheme("#e8e6e1", "#767c8a", "#1d2027")


def picture(draw: Callable[[], Figure], alt: str) -> str:
    """Return a ``<picture>`` element that holds ``draw()``'s figure for light and dark screens.

    Parameters
    ----------
    draw : callable
        Makes a figure from the current ``rcParams``.
    alt : str
        What the picture shows.

    Returns
    -------
    str
        HTML.
    """
    light, width = _png(draw, LIGHT)
    dark, _ = _png(draw, DARK)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{width}" alt="{html.escape(alt, quote=True)}"></picture>'
    )


def _png(draw: Callable[[], Figure], scheme: dict[str, Any], scale: int = 2) -> tuple[str, int]:
    """Return the picture as a data address and its width in CSS pixels."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    with pyplot.rc_context(scheme):
        figure = draw()
        buffer = io.BytesIO()
        # Twice the pixels of a plain screen, so that text stays sharp on dense ones.
        figure.savefig(
            buffer,
            format="png",
            dpi=96 * scale,
            bbox_inches="tight",
            pad_inches=0.05,
            pil_kwargs={"optimize": True},  # the smallest file of the same pixels
        )
        pyplot.close(figure)
    data = buffer.getvalue()
    width = int.from_bytes(data[16:20], "big")  # the PNG header's own width
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii"), width // scale
