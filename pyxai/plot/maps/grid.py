"""One example's attributions as a map, and the image below it: what all pictures of grids need."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from pyxai._checks import check_int, check_number, describe
from pyxai.explanation import Explanation
from pyxai.explanation.groups import groups_of, quantity
from pyxai.plot.axes import as_array, one_example

__all__ = ["Grid", "each_player_once", "end_of_scale", "interpolated", "read_grid"]


class Grid(NamedTuple):
    """The map of one example."""

    values: np.ndarray[Any, Any]
    """[height, width], in the units of the attributions."""
    image: Any
    """[height, width] or [channels, height, width], as given, or nothing."""
    grey: Any
    """[height, width], the mean of its channels, or nothing."""
    quantity: str
    method: str


def read_grid(
    explanation: Any, image: Any, example: int, channel: str | int, with_image: bool
) -> Grid:
    """Return map and image of one example; see `heatmap` for the arguments."""
    method, label = "", "attribution"
    least = 2
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
            values = values if values.ndim != 3 else each_player_once(values, chosen)
        least = 1 if image is None else 2  # its own picture is the right one, whatever the layer
        image = _own_image(chosen, values) if image is None else image
        method, label = chosen.method, quantity(chosen)
    else:
        values = as_array(explanation, "explanation")
        if values.ndim == 4:
            check_int("example", example, minimum=0)
            if example >= len(values):
                raise ValueError(f"example must be below {len(values)}, got {example}")
            image, values = _of_batch(image, values, example), values[example]
    flat = _one_map(values, channel, "explanation")
    if image is None or not with_image:
        return Grid(flat, None, None, label, method)
    grey = _one_map(as_array(image, "image"), "mean", "image")
    if grey.shape != flat.shape and any(np.less(grey.shape, np.multiply(least, flat.shape))):
        raise ValueError(
            f"image must have the height and width of the attributions, {list(flat.shape)}, "
            f"or at least twice of both, got {list(grey.shape)}"
        )
    return Grid(flat, image, grey, label, method)


def _own_image(example: Explanation, values: np.ndarray[Any, Any]) -> Any:
    """Return the input of an example, where the map of it can lie over that, else nothing.

    That of a layer can where the layer has channels and keeps places, as convolutions do: those of
    tokens or of units have no place on the picture, and larger ones would have to shrink.
    """
    own = example.inputs[0]
    if not example.of_layer:
        return own
    places = own.dim() in (2, 3) and values.ndim == 3
    return own if places and not any(np.less(own.shape[-2:], values.shape[-2:])) else None


def each_player_once(values: Any, example: Explanation, channel_axis: int = 0) -> Any:
    """Keep of the channels of a place that are one player the first, set the others to 0.

    ``values`` are those of one example of an explanation.
    """
    players = groups_of(example).of_features.numpy().reshape(values.shape)
    players = np.moveaxis(players, channel_axis, 0)
    again = np.stack([(players[:at] == players[at]).any(0) for at in range(len(players))])
    return np.where(np.moveaxis(again, 0, channel_axis), 0, values)


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


def interpolated(flat: np.ndarray[Any, Any], size: Any) -> np.ndarray[Any, Any]:
    """Bring a map to the size of a picture, linear between the centres of its pixels."""
    found: np.ndarray[Any, Any] = (
        nn.functional.interpolate(torch.from_numpy(flat)[None, None], tuple(size), mode="bilinear")
        .squeeze((0, 1))
        .numpy()
    )
    return found


def end_of_scale(
    values: np.ndarray[Any, Any], limit: float | None, percentile: float | None = None
) -> float:
    """Return the absolute value at the ends of the colours, given or found in the map."""
    if percentile is not None and limit is not None:
        raise ValueError(f"percentile must be None where limit is given, got {percentile}")
    if percentile is not None and not 0 < check_number("percentile", percentile) <= 100:
        raise ValueError(f"percentile must be above 0 and at most 100, got {percentile}")
    if limit is not None:
        if not check_number("limit", limit) > 0:
            raise ValueError(f"limit must be positive, got {limit}")
        return float(limit)
    sizes = np.abs(values[np.isfinite(values)])
    # All zero is a legitimate map; any positive limit draws it white.
    largest = float(sizes.max(initial=0.0)) or 1.0
    if percentile is None or not sizes.size:
        return largest
    return float(np.percentile(sizes, percentile)) or largest
