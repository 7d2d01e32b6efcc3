"""Matplotlib figures as embedded PNGs, one for each colour scheme of the reader's screen."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Source", "data_address", "picture"]

_PHONE = "(max-width: 40rem)"  # as in page.css

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


LIGHT = _scheme("#1f2227", "#8a8c93", "#fffefb")
DARK = _scheme("#e9e6df", "#777a82", "#1c1f23")


class Source(NamedTuple):
    """A form of a picture, and the screens that it is for."""

    media: str
    address: str
    width: int
    """In CSS pixels."""
    height: int


class Picture(NamedTuple):
    """A picture as the template takes it: the first source that fits a screen, else this one."""

    sources: list[Source]
    address: str
    width: int
    height: int


def picture(draw: Callable[[], Figure], narrow: Callable[[], Figure] | None = None) -> Picture:
    """Draw a figure for light and for dark screens.

    Parameters
    ----------
    draw : callable
        Makes a figure from the current ``rcParams``.
    narrow : callable, optional
        The same for phones.

    Returns
    -------
    Picture
    """
    dark, sources = "(prefers-color-scheme: dark)", []
    if narrow is not None:
        sources += [Source(f"{_PHONE} and {dark}", *_png(narrow, DARK))]
        sources += [Source(_PHONE, *_png(narrow, LIGHT))]
    return Picture([*sources, Source(dark, *_png(draw, DARK))], *_png(draw, LIGHT))


def data_address(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(
    draw: Callable[[], Figure], scheme: dict[str, Any], scale: int = 2
) -> tuple[str, int, int]:
    """Return the picture as a data address, and its width and height in CSS pixels."""
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
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))  # of its header
    return data_address(data), width // scale, height // scale
