"""The demonstration's switching panels: the half of a picture that holds the digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import lex
from pyxai.datasets import switching_panels
from pyxai.demo.figures import subplots
from pyxai.demo.words import percent
from pyxai.imputers import Constant, GaussianMixture, Imputer
from pyxai.metrics import selection_rates
from pyxai.report import Section

__all__ = ["MeasuredPanels", "Selection", "conclusions", "measure_panels", "section"]

ZEROS, DRAWS = "Constant imputation (0)", "Multiple imputation"
KEPT = 6  # patches of 2 x 2 pixels, of 32
TRAIN = 1437
EPOCHS = 20
SHOWN = 5  # pictures


@dataclass(frozen=True, eq=False)
class Selection:
    """What one pair of selector and predictor keeps of the test pictures.

    Attributes
    ----------
    kept : Tensor, shape [rows, 1, 8, 16]
        bool, the pixels of the patches that are selected.
    fdr : float
        Share of them in the other half, mean over the pictures.
    accuracy : float
        Of the predictor on what is kept.
    """

    kept: Tensor
    fdr: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class MeasuredPanels:
    """Test pictures of two small images, and what two pairs select of them.

    Attributes
    ----------
    inputs : Tensor, shape [rows, 1, 8, 16]
        The pictures.
    truth : Tensor, shape [rows, 1, 8, 16]
        bool, the half that the label is of.
    labels : Tensor, shape [rows]
        Digits.
    selections : dict of str to Selection
        By what stands for the pixels that are removed.
    """

    inputs: Tensor
    truth: Tensor
    labels: Tensor
    selections: dict[str, Selection]


def measure_panels(seed: int, *, epochs: int = EPOCHS) -> MeasuredPanels:
    """Train two selections that differ in the imputer alone, and look at unseen pictures.

    Parameters
    ----------
    seed : int
        Of data, weights and training.
    epochs : int
        Passes over the training pictures.

    Returns
    -------
    MeasuredPanels
    """
    data = switching_panels(seed=seed)
    order = torch.randperm(len(data.inputs), generator=torch.Generator().manual_seed(seed))
    inputs, labels, truth = (each[order] for each in (data.inputs, data.labels, data.truth))
    train, test = inputs[:TRAIN], inputs[TRAIN:]
    imputers = {ZEROS: Constant(0.0), DRAWS: GaussianMixture(20, seed=seed).fit(train)}
    unseen = MeasuredPanels(test, truth[TRAIN:], labels[TRAIN:], {})
    for name, imputer in imputers.items():
        model = _trained(imputer, train, labels[:TRAIN], seed, epochs)
        unseen.selections[name] = _selection(model, unseen)
    return unseen


def _trained(imputer: Imputer, inputs: Tensor, labels: Tensor, seed: int, epochs: int) -> lex.LEX:
    """Return a pair of perceptrons that were trained together."""
    nets = lex.tabular_networks(inputs[0].numel(), 10, n_groups=32, seed=seed)
    predictor, selector = (nn.Sequential(nn.Flatten(), net) for net in nets)
    model = lex.LEX(
        predictor,
        selector,
        imputer=imputer,
        law=lex.Subset(KEPT),
        groups=lex.Patches(2),
        n_imputations=4,
    )
    model.fit((inputs, labels), epochs=epochs, batch_size=100, lr=2e-3, seed=seed)
    return model


def _selection(model: lex.LEX, unseen: MeasuredPanels) -> Selection:
    """Return what a pair keeps of unseen pictures."""
    inputs = unseen.inputs
    selected = model.select(inputs)
    right = model.predict(inputs, selected).argmax(1) == unseen.labels
    kept = model.groups.on_features(selected.to(inputs.dtype), inputs) > 0.5
    fdr = float(selection_rates(kept, unseen.truth).fdr.mean())
    return Selection(kept, fdr, float(right.double().mean()))


def section(above: Section, measured: MeasuredPanels) -> None:
    """Append a fold about the panels.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredPanels
        What it is about.
    """
    part = above.fold("Where it has to look: selections of which the truth is known")
    part.text(
        "Here the truth is known. Each picture is a digit beside another one that was turned, with "
        "light and dark exchanged, and the label is that of the first. Two networks are trained "
        "together: one selects "
        f"{KEPT} of 32 patches of a picture, the other names the digit from these alone. What is "
        "removed is replaced by zeros, or by several draws from a mixture of normal distributions "
        "that was fitted to the pictures and sees the kept pixels only."
    )
    part.figure(
        lambda: _pictures(measured, SHOWN),
        narrow=lambda: _pictures(measured, 2),
        alt="Panels, the half that matters, and the patches selected with two ways of imputation",
        caption="Dark is ink. In the second row the half that the label is of is marked, below it "
        "the selected patches. The first test pictures as they come.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredPanels) -> tuple[list[str], list[str]]:
    """Say what the rates allow.

    Parameters
    ----------
    measured : MeasuredPanels
        Of the panels.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    zeros, draws = (measured.selections[name] for name in (ZEROS, DRAWS))
    which = "fewer" if draws.fdr < zeros.fdr else "no fewer"
    can = [
        f"How often a selection looks away: of the patches selected with zeros "
        f"{percent(zeros.fdr)} lie in the half that does not matter, with multiple imputation "
        f"{percent(draws.fdr)}, so {which} here. A selection that knows nothing has 50 %.",
        f"What the patches are worth: the digit is named right for {percent(zeros.accuracy)} and "
        f"{percent(draws.accuracy)} of the unseen pictures.",
    ]
    cannot = [
        "Which of the two is right on other data: this is one seed and a small data set.",
        "That a high accuracy means a good selection. Zeros show which patches were removed, and a "
        "selector that is trained together with its reader may write the label into that.",
    ]
    return can, cannot


def _pictures(measured: MeasuredPanels, columns: int) -> Any:
    """Draw a column for each picture: it, the half that matters, and both selections."""
    lines = {"Picture": None, "Truth": measured.truth} | {
        name: found.kept for name, found in measured.selections.items()
    }
    size = (1.1 + 1.3 * columns, 0.8 * len(lines))
    figure, axes = subplots(len(lines), columns, figsize=size)
    for row, (name, mask) in enumerate(lines.items()):
        for column in range(columns):
            ax, image = axes[row, column], measured.inputs[column, 0]
            ax.imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
            if mask is not None:
                shade = mask[column, 0].double().numpy()
                ax.imshow(shade, cmap="YlOrBr", vmin=0, vmax=1.6, alpha=0.65 * shade)
            ax.set(xticks=[], yticks=[])
            ax.axvline(7.5, color="0.6", linewidth=0.8)
            if row == 0:
                ax.set_title(f"“{int(measured.labels[column])}”", fontsize=9)
        label = name.replace(" i", "\ni")
        axes[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8.5)
    return figure
