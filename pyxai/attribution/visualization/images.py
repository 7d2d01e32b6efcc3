"""Attributions of an image."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from pyxai._checks import check_choice
from pyxai._lazy import above
from pyxai.attribution.visualization.scale import (
    as_numpy,
    check_flags,
    colorbar,
    colours,
    new_figure,
    normalized,
    show,
)

__all__ = ["ImageVisualizationMethod", "visualize_image_attr", "visualize_image_attr_multiple"]


class ImageVisualizationMethod(Enum):
    """Names of the pictures of `visualize_image_attr`."""

    heat_map = 1
    blended_heat_map = 2
    original_image = 3
    masked_image = 4
    alpha_scaling = 5


_IMAGES = {
    "heat_map": "heatmap",
    "blended_heat_map": "overlay",
    "original_image": "original",
    "masked_image": "masked",
    "alpha_scaling": "alpha",
}


def visualize_image_attr(
    attr: Any,
    original_image: Any = None,
    method: str = "heat_map",
    sign: str = "absolute_value",
    plt_fig_axis: tuple[Any, Any] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.5,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
) -> tuple[Any, Any]:
    """Draw attributions of an image, scaled to shares of what the largest few percent begin with.

    Parameters
    ----------
    attr : array or Tensor, shape [height, width] or [height, width, channels]
        Attributions; those of channels are added up.
    original_image : array or Tensor, shape [height, width, channels], optional
        The image, from 0 to 1 or in bytes; needed by every method but ``"heat_map"``.
    method : str
        Name of an `ImageVisualizationMethod`.
    sign : str
        Name of a `VisualizeSign`; ``"masked_image"`` and ``"alpha_scaling"`` take no ``"all"``.
    plt_fig_axis : tuple of Figure and Axes, optional
        Where to draw; default: a new figure.
    outlier_perc : float
        Attributions at the top that make up so many percent of the total are all shown as 1.
    cmap : str or matplotlib Colormap, optional
        Default: from red to green for all, else one colour for each sign.
    alpha_overlay : float
        Opacity of the colours of ``"blended_heat_map"``.
    show_colorbar : bool
        Whether to draw the scale, -1 to 1 or 0 to 1, below; room is left where there is none.
    title : str, optional
        Heading.
    fig_size : tuple of float
        Of a new figure, in inches.
    use_pyplot : bool
        Whether pyplot makes the figure and shows it.

    Returns
    -------
    tuple of Figure and Axes

    Raises
    ------
    ValueError
        If a name is unknown, shapes do not fit, all attributions are 0, or there is no image.
    ImportError
        If matplotlib is not installed.
    """
    check_choice("method", method, tuple(_IMAGES))
    check_flags(show_colorbar, use_pyplot)
    values = as_numpy("attr", attr)
    values = values.sum(2) if values.ndim == 3 else values
    image = _channels_first(original_image)
    figure, ax = new_figure(plt_fig_axis, use_pyplot, fig_size)
    above("plot").image(
        normalized(values, sign, outlier_perc),
        image,
        method=_IMAGES[method],
        sign="all" if sign == "all" else "positive",
        limit=1.0,
        alpha=alpha_overlay,
        cmap=colours(cmap, sign),
        colorbar=False,
        title=title or "",
        ax=ax,
    )
    if show_colorbar:
        drawn = method in ("heat_map", "blended_heat_map")
        colorbar(ax, ax.images[-1] if drawn else None, pad=0.1)
    show(use_pyplot)
    return figure, ax


def visualize_image_attr_multiple(
    attr: Any,
    original_image: Any,
    methods: list[str],
    signs: list[str],
    titles: list[str] | None = None,
    fig_size: tuple[float, float] = (8, 6),
    use_pyplot: bool = True,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Draw several pictures of one image side by side.

    Parameters
    ----------
    attr : array or Tensor, shape [height, width, channels]
        As `visualize_image_attr` takes it.
    original_image : array, Tensor or None, shape [height, width, channels]
        The image.
    methods, signs : list of str
        One of each for every picture.
    titles : list of str, optional
        One for every picture.
    fig_size : tuple of float
        Of the figure, in inches.
    use_pyplot : bool
        Whether pyplot makes the figure and shows it.
    **kwargs
        Further arguments of `visualize_image_attr`, for all pictures.

    Returns
    -------
    tuple of Figure and list of Axes
        The Axes alone where there is one picture.

    Raises
    ------
    ValueError
        If there are not as many signs or titles as methods.
    """
    for name, given in (("signs", signs), ("titles", titles)):
        if given is not None and len(given) != len(methods):
            raise ValueError(f"{name} must be one for each of {len(methods)}, got {len(given)}")
    figure, axes = new_figure(None, use_pyplot, fig_size, ncols=len(methods), squeeze=False)
    for column, ax in enumerate(axes[0]):
        visualize_image_attr(
            attr,
            original_image,
            methods[column],
            signs[column],
            (figure, ax),
            title=titles[column] if titles else None,
            use_pyplot=False,
            **kwargs,
        )
    show(use_pyplot)
    return figure, axes[0, 0] if len(methods) == 1 else list(axes[0])


def _channels_first(image: Any) -> Any:
    """Return an image [height, width, channels] as bytes [channels, height, width]."""
    if image is None:
        return None
    values = as_numpy("original_image", image)
    values = values[..., None] if values.ndim == 2 else values
    values = values * 255 if values.max(initial=0) <= 1.0 else values
    return np.clip(values.astype(int), 0, 255).transpose(2, 0, 1)
