"""Small pictures side by side: attributions in red and blue, and what they explain."""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pyxai._extras import optional
from pyxai.report import render
from pyxai.report.pictures import data_address

__all__ = ["Card", "as_plane", "gallery", "input_card", "map_card"]

_PIXELS = 160  # of a side at most
_CUT = 1024  # pixels from which on a few large values may saturate


class Card(NamedTuple):
    """A picture and the words below it."""

    address: str
    width: int
    height: int
    alt: str
    title: str
    lines: tuple[str, ...] = ()


def gallery(cards: Sequence[Card], *, small: bool = False) -> Markup:
    """Return pictures side by side, as many in a line as the screen holds.

    Parameters
    ----------
    cards : sequence of Card
        From left to right.
    small : bool
        Whether they are many and tell little each.

    Returns
    -------
    Markup
        For `Section.html`.
    """
    return render.block("gallery", cards=cards, small=small)


def as_plane(values: Tensor) -> Tensor | None:
    """Return attributions [height, width] or [channels, height, width] as a plane, else None."""
    if values.dim() == 3:
        return values.double().sum(0)
    return values.double() if values.dim() == 2 else None


def limit_of(plane: Tensor) -> float:
    """Return the value at the ends of the colours: the largest, or one that few exceed."""
    sizes = plane.abs().flatten()
    sizes = sizes[sizes.isfinite()]
    if not len(sizes):
        return 0.0
    return float(sizes.max() if len(sizes) < _CUT else sizes.quantile(0.995))


def map_card(
    plane: Tensor, title: str, lines: tuple[str, ...] = (), limit: float | None = None
) -> Card:
    """Return a map of attributions: red is positive, blue negative, white zero.

    Parameters
    ----------
    plane : Tensor, shape [height, width]
        Attributions.
    title : str
        First line below it.
    lines : tuple of str
        More lines.
    limit : float, optional
        Value of the strongest colours; default: that of this map.
    """
    small = _pooled(plane[None])[0]
    limit = limit_of(small) if limit is None else limit
    scaled = small / limit if limit > 0 else small * 0
    colours = _matplotlib("matplotlib").colormaps["RdBu_r"]
    rgba = colours((scaled.clamp(-1, 1).nan_to_num(0.0).numpy() + 1) / 2)
    return _card(rgba, f"Attributions: {title}", title, lines)


def input_card(values: Tensor, title: str, lines: tuple[str, ...] = ()) -> Card | None:
    """Return an input [height, width], [1 or 3, height, width] as a picture, None of others.

    Values from 0 to 1 are shown as they are, others from the least to the largest.
    """
    image = values.detach().cpu().double()
    image = image[None] if image.dim() == 2 else image
    if image.dim() != 3 or len(image) not in (1, 3):
        return None
    image = _pooled(image)
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        image = (image - low) / (high - low) if high > low else image * 0 + 0.5
    return _card(image.expand(3, -1, -1).permute(1, 2, 0).numpy(), f"Input: {title}", title, lines)


def _pooled(image: Tensor) -> Tensor:
    """Return an image [channels, height, width] that is not larger than is shown."""
    height, width = image.shape[1:]
    if max(height, width) <= _PIXELS:
        return image
    scale = _PIXELS / max(height, width)
    return adaptive_avg_pool2d(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def _card(colours: Any, alt: str, title: str, lines: tuple[str, ...]) -> Card:
    buffer = io.BytesIO()
    _matplotlib("matplotlib.image").imsave(buffer, colours.astype("float32"))
    height, width = colours.shape[:2]
    return Card(data_address(buffer.getvalue()), width, height, alt, title, lines)


def _matplotlib(name: str) -> Any:
    with optional("pictures need", "matplotlib", "viz"):
        return importlib.import_module(name)
