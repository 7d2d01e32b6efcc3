"""Matplotlib figures as embedded PNGs, one for each colour scheme of the reader's screen."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Source", "data_address", "picture"]

_PHONE = "(max-width: 40rem)"  # as in page.css

_DRAWN = 1 << 14  # colours, with those of soft edges: more are in photographs only
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
        # A constrained layout has nearly always all within the figure. Else what sticks out is
        # looked for, which draws twice.
        constrained = type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
        buffer = _drawn(figure, scale, None if constrained else "tight")
        if constrained and _sticks_out(figure):
            buffer = _drawn(figure, scale, "tight")
        pyplot.close(figure)
    data, width, height = _small(buffer, margin=5 * scale)
    return data_address(data), width // scale, height // scale


def _drawn(figure: Figure, scale: int, box: str | None) -> io.BytesIO:
    """Return a figure as a PNG that is large but quickly made."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        # Twice the pixels of a plain screen, so that text stays sharp on dense ones.
        dpi=96 * scale,
        bbox_inches=box,
        pad_inches=0.05,
        pil_kwargs={"compress_level": 0},
    )
    return buffer


def _sticks_out(figure: Figure) -> bool:
    """Whether something of a figure that was drawn lies beyond its edges."""
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return bool(box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height)


def _small(png: io.BytesIO, margin: int) -> tuple[bytes, int, int]:
    """Return a picture without empty edges in a smaller file, and its width and height in pixels.

    A drawing gets a palette, for a file of a third of the size. Photographs keep all colours.
    """
    image = importlib.import_module("PIL.Image").open(png)
    width, height = image.size
    left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, width, height)
    image = image.crop(
        (
            max(0, left - margin),
            max(0, top - margin),
            min(width, right + margin),
            min(height, bottom + margin),
        )
    )
    colours = image.getcolors(_DRAWN)
    if colours is not None:
        image = _with_palette(image, [colour for _, colour in sorted(colours, reverse=True)])
    small = io.BytesIO()
    # Of a photograph the last hundredth of the size would take four times as long.
    image.save(small, format="png", optimize=colours is not None)
    return small.getvalue(), *image.size


def _with_palette(image: Any, colours: list[tuple[int, ...]]) -> Any:
    """Return an image of the 256 most frequent colours; others, of soft edges, become the nearest.

    What is filled stays exact: colours are what heatmaps say.
    """
    table = np.array(colours, np.uint8)
    kept = table[:256].astype(np.int32)
    nearest = ((table.astype(np.int32)[:, None] - kept) ** 2).sum(2).argmin(1).astype(np.uint8)
    codes = table.view(np.uint32)[:, 0]  # a colour is one number
    order = codes.argsort()
    pixels = np.asarray(image).view(np.uint32)[..., 0]
    numbers = nearest[order][np.searchsorted(codes[order], pixels)]
    small = importlib.import_module("PIL.Image").fromarray(numbers)
    small.putpalette(table[:256].tobytes(), "RGBA")
    return small
