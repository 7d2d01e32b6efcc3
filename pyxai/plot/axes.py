"""What all plots share: matplotlib on demand, names as it draws them, one example's values."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._extras import optional
from pyxai.explanation import Explanation
from pyxai.explanation.balance import is_of_all_outputs
from pyxai.explanation.numbers import shortened

__all__ = [
    "as_array",
    "as_explanation",
    "new_axes",
    "one_example",
    "plain",
    "single_output",
    "size_in_points",
]


def new_axes(ax: Any, size: tuple[float, float] = (6.4, 4.0)) -> Any:
    """Return ``ax``, or the Axes of a new figure of ``size`` inches.

    A figure that has no layout yet gets matplotlib's constrained one, in which names and colour
    bars of neighbours do not lie over each other.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # A figure of one's own does without pyplot, which keeps those that it made.
    needed = "matplotlib.pyplot" if ax is None else "matplotlib"
    with optional("plots need", "matplotlib", "viz"):
        library = importlib.import_module(needed)
    if ax is not None:
        figure = _whole_figure(ax)
        if figure.get_layout_engine() is None:
            # A figure with a colour bar that was made for another layout keeps it.
            with suppress(RuntimeError):
                figure.set_layout_engine("constrained")
        return ax
    _, ax = library.subplots(figsize=size, layout="constrained")
    return ax


def size_in_points(ax: Any) -> tuple[float, float]:
    """Return width and height of Axes as the layout makes them, with what they hold so far."""
    figure = _whole_figure(ax)
    figure.draw_without_rendering()
    box = ax.get_window_extent()
    return 72 * box.width / figure.dpi, 72 * box.height / figure.dpi


def _whole_figure(ax: Any) -> Any:
    """Return the figure of Axes, also of those in a part of a figure."""
    figure = ax.figure
    while figure.figure is not figure and figure.figure is not None:
        figure = figure.figure
    return figure


def plain(name: str, width: int = 36) -> str:
    """Return a name as matplotlib draws it: not too long, and a dollar sign as such."""
    return shortened(name, width).replace("$", r"\$")


def as_array(values: Any, name: str) -> np.ndarray[Any, Any]:
    """Return a tensor or an array as float64 on the CPU."""
    if isinstance(values, Tensor):
        array: np.ndarray[Any, Any] = values.detach().to("cpu", torch.float64).numpy()
        return array
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)
    raise TypeError(f"{name} must be an explanation, a tensor or an array, got {describe(values)}")


def as_explanation(values: Any, name: str, feature_names: Any = None) -> Explanation:
    """Return ``values`` as an explanation; a tensor or an array is the attributions of a batch."""
    if isinstance(values, Explanation):
        return values
    attributions = torch.from_numpy(as_array(values, name))
    if attributions.dim() == 1:
        attributions = attributions.unsqueeze(0)
    return Explanation(attributions, attributions, feature_names=feature_names)


def one_example(explanation: Explanation, example: int) -> Explanation:
    """Return one example of a batch, as a batch of one."""
    check_int("example", example, minimum=0)
    if example >= len(explanation):
        raise ValueError(f"example must be below {len(explanation)}, got {example}")
    return explanation[example]


def single_output(explanation: Explanation) -> Explanation:
    """Return an explanation if it is of one output.

    Raises
    ------
    ValueError
        If all outputs were explained at once.
    """
    outputs = explanation.outputs
    if outputs is not None and is_of_all_outputs(explanation):
        raise ValueError(
            "explanation must be of one output to be drawn so, "
            f"got one of {outputs.shape[1:].numel()}; explain with a target"
        )
    return explanation
