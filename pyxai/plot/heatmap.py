"""Attributions of an image, or of any grid of features, as colours."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import nn

from pyxai._checks import check_bool, check_int, check_number, describe
from pyxai.explanation import Explanation
from pyxai.explanation.groups import groups_of, quantity
from pyxai.plot.axes import as_array, new_axes, one_example

__all__ = ["heatmap"]


def heatmap(
    explanation: Any,
    image: Any = None,
    *,
    example: int = 0,
    channel: str | int = "sum",
    limit: float | None = None,
    percentile: float | None = None,
    overlay: bool = True,
    cmap: str = "RdBu_r",
    colorbar: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw attributions as a map whose colours diverge from 0.

    Nothing is rescaled or, unless asked, cut off: the colour bar is in the units of the
    attributions, its middle is 0, and negative values are as visible as positive ones.

    Parameters
    ----------
    explanation : Explanation, Tensor or array
        An explanation of inputs [batch, height, width] or [batch, channels, height, width], or
        the attributions of one example, [height, width] or [channels, height, width], or of a
        batch, [batch, channels, height, width].
    image : Tensor or array, shape [height, width] or [channels, height, width], optional
        Shades the colours; default: the inputs of the explanation. A batch serves too, of which
        the example is taken. Where it has at least twice the height and width of the attributions,
        as beside the map of a layer, they are interpolated to its size.
    example : int
        Which example of the explanation, or of a batch, to draw.
    channel : "sum", "mean" or int
        How the channels become one map: their sum, in which a player that a ``feature_mask`` or
        XRAI makes of several channels counts once; their mean, or one of them.
    limit : float, optional
        Attribution at the ends of the colour scale, larger ones saturate; default: the largest
        absolute value of the map. Give the same number to compare several maps.
    percentile : float, optional
        Let so many percent of the absolute values lie within the scale, in place of ``limit``.
        Gradients have a few values that leave all others white; 99 shows those.
    overlay : bool
        Whether to shade the colours by the image, so that one sees where on it they are.
    cmap : str
        Name of a diverging matplotlib colour map.
    colorbar : bool
        Whether to draw the scale beside the map.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If shapes do not fit, or ``channel``, ``limit`` or ``percentile`` is out of range.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_bool("overlay", overlay)
    check_bool("colorbar", colorbar)
    method, label = "", "attribution"
    if isinstance(explanation, Explanation):
        chosen = one_example(explanation, example)
        if isinstance(chosen.attributions, tuple) or isinstance(chosen.inputs, tuple):
            raise ValueError(
                "explanation must have a single tensor of attributions to be drawn as a map, "
                f"got {describe(chosen.attributions)}; give one of its tensors"
            )
        image = _of_batch(image, explanation.inputs, example)
        values = as_array(chosen.attributions[0], "explanation")
        if channel == "sum":
            values = _each_player_once(values, groups_of(chosen).of_features.numpy())
        label = quantity(chosen)
        image = chosen.inputs[0] if image is None else image
        method = chosen.method
    else:
        values = as_array(explanation, "explanation")
        if values.ndim == 4:
            check_int("example", example, minimum=0)
            if example >= len(values):
                raise ValueError(f"example must be below {len(values)}, got {example}")
            image, values = _of_batch(image, values, example), values[example]
    flat = _one_map(values, channel, "explanation")
    picture = None
    if overlay and image is not None:
        picture = _one_map(as_array(image, "image"), "mean", "image")
        if picture.shape != flat.shape and any(np.less(picture.shape, np.multiply(2, flat.shape))):
            raise ValueError(
                f"image must have the height and width of the attributions, {list(flat.shape)}, "
                f"or at least twice of both, got {list(picture.shape)}"
            )
    end = _limit(flat, limit, percentile)
    beyond = bool((np.abs(flat) > end).any())
    if picture is not None and picture.shape != flat.shape:
        flat = _interpolated(flat, picture.shape)
    ax = new_axes(ax, (5.0, 4.0))
    scale = _draw(ax, flat, picture, end, cmap)
    if colorbar:
        ends = "both" if beyond else "neither"
        bar = ax.figure.colorbar(scale, ax=ax, fraction=0.046, pad=0.04, extend=ends)
        bar.set_label(label)
    ax.set_title(method.replace("_", " ") if title is None else title)
    return ax


def _each_player_once(values: np.ndarray[Any, Any], players: Any) -> np.ndarray[Any, Any]:
    """Keep of the channels of a pixel that belong to one player the first, set the others to 0."""
    if values.ndim != 3:
        return values
    players = players.reshape(values.shape)
    again = [(players[:at] == players[at]).any(0) for at in range(len(players))]
    kept: np.ndarray[Any, Any] = np.where(np.stack(again), 0, values)
    return kept


def _one_map(values: np.ndarray[Any, Any], channel: str | int, name: str) -> Any:
    """Bring the values of one example to [height, width]."""
    if values.ndim == 2:
        return values
    if values.ndim != 3:
        raise ValueError(
            f"{name} must have shape [height, width] or [channels, height, width] "
            f"for one example, got {list(values.shape)}"
        )
    if channel == "sum":
        return values.sum(0)
    if channel == "mean":
        return values.mean(0)
    if isinstance(channel, int) and not isinstance(channel, bool) and 0 <= channel < len(values):
        return values[channel]
    raise ValueError(
        f"channel must be 'sum', 'mean' or an int below {len(values)}, got {channel!r}"
    )


def _of_batch(image: Any, like: Any, example: int) -> Any:
    """Return the image of an example, where a batch of images came."""
    shape, own = tuple(np.shape(image)), tuple(like.shape)
    batch = len(shape) == 4 or (len(shape) == 3 and shape == own)
    if image is None or not batch:
        return image
    if shape[0] != own[0]:
        raise ValueError(f"image must be one, or one for each of {own[0]}, got {shape[0]}")
    return image[example]


def _interpolated(flat: np.ndarray[Any, Any], size: Any) -> np.ndarray[Any, Any]:
    """Bring a map to the size of a picture, linear between the centres of its pixels."""
    found: np.ndarray[Any, Any] = (
        nn.functional.interpolate(torch.from_numpy(flat)[None, None], tuple(size), mode="bilinear")
        .squeeze((0, 1))
        .numpy()
    )
    return found


def _limit(
    values: np.ndarray[Any, Any], limit: float | None, percentile: float | None = None
) -> float:
    if percentile is not None:
        if limit is not None:
            raise ValueError(f"percentile must be None where limit is given, got {percentile}")
        if not 0 < check_number("percentile", percentile) <= 100:
            raise ValueError(f"percentile must be above 0 and at most 100, got {percentile}")
        return float(np.nanpercentile(np.abs(values), percentile)) or _limit(values, None)
    if limit is None:
        # All zero is a legitimate map; any positive limit draws it white.
        return float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    if not check_number("limit", limit) > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    return float(limit)


def _draw(ax: Any, flat: Any, picture: Any, limit: float, cmap: str) -> Any:
    """Draw the map and return its scale."""
    scalar_mappable = importlib.import_module("matplotlib.cm").ScalarMappable
    colours = scalar_mappable(cmap=cmap)
    colours.set_clim(-limit, limit)
    pixels = colours.to_rgba(flat)
    if picture is not None:
        # The image shades the colours: hue and sign stay those of the scale, 0 shows the image.
        low, high = float(picture.min()), float(picture.max())
        shade = 0.7 + 0.3 * (picture - low) / ((high - low) or 1.0)
        pixels[..., :3] *= shade[..., None]
    ax.imshow(pixels, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    return colours
