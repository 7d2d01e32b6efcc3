"""The demonstration's reveal: the pixels that make the model sure, added one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai import metrics, plot
from pyxai.attribution import GreedyPIG, IntegratedGradients
from pyxai.demo.figures import subplots
from pyxai.demo.measure import Measured
from pyxai.demo.words import percent
from pyxai.metrics import Curve
from pyxai.report import Section, format_number

__all__ = ["MeasuredReveal", "conclusions", "measure_reveal", "section"]

STEPS = (1, 2, 4, 8, 16, 32)  # pixels shown, from picture to picture
SURE = 0.9  # probability from which the model counts as sure


@dataclass(frozen=True, eq=False)
class MeasuredReveal:
    """Two orders of the pixels of each digit, and what the model says as they are revealed.

    Attributes
    ----------
    measured : Measured
        Of the digits.
    orders : dict of str to Tensor, shape [batch, n_pixels]
        int64 pixels, the first revealed first, by the method's title.
    curves : dict of str to Curve
        Probability of the predicted class against the fraction of the pixels shown.
    example : int
        The digit that is drawn.
    """

    measured: Measured
    orders: dict[str, Tensor]
    curves: dict[str, Curve]
    example: int

    def shown(self, name: str, count: int) -> Tensor:
        """Return the drawn digit with its first ``count`` pixels only, [1, 1, height, width]."""
        image = self.measured.task.inputs[self.example]
        flat = torch.zeros_like(image).flatten()
        first = self.orders[name][self.example, :count]
        flat[first] = image.flatten()[first]
        return flat.view(1, *image.shape)

    @property
    def n_pixels(self) -> int:
        """Pixels of a digit."""
        return self.orders["Greedy PIG"].shape[1]

    def pixels_to_be_sure(self, name: str) -> Tensor:
        """Return how many pixels each digit needs until the model is sure; all if it never is."""
        sure = self.curves[name].y >= SURE
        first = torch.where(sure.any(1), sure.int().argmax(1), sure.shape[1] - 1)
        return (self.curves[name].x[first] * self.n_pixels).round()


def measure_reveal(measured: Measured) -> MeasuredReveal:
    """Order the pixels of the digits by Greedy PIG and by integrated gradients.

    Parameters
    ----------
    measured : Measured
        Of the digits.

    Returns
    -------
    MeasuredReveal
        Of as many digits as were measured; the drawn one is the first for which the two differ
        as much as they usually do.
    """
    model, target = measured.task.model, measured.target
    inputs = measured.task.inputs[: len(target)]

    def probability(rows: Tensor) -> Tensor:
        probabilities: Tensor = model(rows).softmax(1)
        return probabilities

    maps = {
        "Greedy PIG": GreedyPIG(model).attribute(inputs, target=target, output="probability"),
        "Integrated gradients": IntegratedGradients(probability).attribute(inputs, target=target),
    }
    orders = {
        name: values.flatten(1).argsort(dim=1, descending=True, stable=True)
        for name, values in maps.items()
    }
    curves = {
        name: metrics.softmax_auc(model, inputs, values, target=target)
        for name, values in maps.items()
    }
    greedy, once = (curve.auc for curve in curves.values())
    gain = greedy - once
    usual = int((gain - gain.median()).abs().argmin())
    return MeasuredReveal(measured, orders, curves, usual)


def section(above: Section, reveal: MeasuredReveal) -> None:
    """Append a fold about the pixels that suffice.

    Parameters
    ----------
    above : Section
        To append to.
    reveal : MeasuredReveal
        What it is about.
    """
    enough = int(reveal.pixels_to_be_sure("Greedy PIG").median())
    part = above.fold(f"How few pixels make it sure: {enough} for half of the digits")
    part.text(
        "Start from an empty picture and show the model the pixels that a method ranks first. "
        "Integrated gradients rank all pixels at once; Greedy PIG takes a few, looks again at what "
        "the rest adds to them, takes a few more, and so on."
    )
    part.figure(
        lambda: _strip(reveal, (*STEPS, reveal.n_pixels)),
        narrow=lambda: _strip(reveal, (2, 4, 8, reveal.n_pixels)),
        alt="A digit revealed pixel by pixel in the order of two methods",
        caption="Above each picture stands the probability of the class that the model chose for "
        "the whole digit. The digit is the one with the median gain.",
    )
    part.figure(
        lambda: _curves(reveal),
        alt="Probability of the predicted class by fraction of pixels shown, for two methods",
        caption=f"Mean over {len(reveal.measured.target)} digits; the bands are the middle half.",
    )
    part.conclusions(*conclusions(reveal))


def conclusions(reveal: MeasuredReveal) -> tuple[list[str], list[str]]:
    """Say what the curves allow.

    Parameters
    ----------
    reveal : MeasuredReveal
        Of the digits.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    needed = {name: reveal.pixels_to_be_sure(name).median() for name in reveal.curves}
    areas = {name: float(curve.auc.mean()) for name, curve in reveal.curves.items()}
    (ours, theirs), counts = areas.values(), [int(count) for count in needed.values()]
    better = float((reveal.curves["Greedy PIG"].auc > _other(reveal).auc).double().mean())
    can = [
        f"How many pixels suffice. Half of the digits need at most {counts[0]} of "
        f"{reveal.n_pixels} pixels in the order of Greedy PIG until the model "
        f"gives its class {percent(SURE)}, and {counts[1]} in that of integrated gradients.",
        f"Which order reveals more: the mean area under the curve is {format_number(ours)} against "
        f"{format_number(theirs)}; Greedy PIG has the larger one for {percent(better)} of the "
        "digits.",
    ]
    cannot = [
        "That a person would read the digit from these pixels, or that the model needs no others. "
        "A picture with most of its pixels gone is one that the model was never trained on, and "
        "what is redundant is left for last on purpose."
    ]
    return can, cannot


def _other(reveal: MeasuredReveal) -> Curve:
    return reveal.curves["Integrated gradients"]


def _strip(reveal: MeasuredReveal, columns: tuple[int, ...]) -> Any:
    """Draw one row per method: the digit with its first so many pixels."""
    task, target = reveal.measured.task, int(reveal.measured.target[reveal.example])
    wide = len(columns) > 4
    size = (1.2 + 1.15 * len(columns), 3.0) if wide else (3.7, 2.5)
    figure, axes = subplots(len(reveal.orders), len(columns), figsize=size)
    for line, name in zip(axes, reveal.orders, strict=True):
        for ax, count in zip(line, columns, strict=True):
            image = reveal.shown(name, count)
            probability = float(task.model(image).softmax(1)[0, target])
            ax.imshow(image[0, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            separator = ": " if wide else "\n"
            ax.set_title(f"{count} px{separator}{percent(probability)}", fontsize=8.5)
        line[0].set_ylabel(name.replace(" ", "\n"), rotation=0, ha="right", va="center")
    return figure


def _curves(reveal: MeasuredReveal) -> Any:
    figure, ax = subplots(figsize=(3.7, 2.9))
    plot.curve(reveal.curves, ax=ax)
    ax.set(xlabel="fraction of pixels shown", ylabel="probability of the predicted class")
    return figure
