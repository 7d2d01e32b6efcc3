"""The demonstration's columns: which measurements of the tumours the model needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai import plot
from pyxai.demo.figures import subplots
from pyxai.demo.tasks import Task
from pyxai.demo.words import listed, percent
from pyxai.explain import explain
from pyxai.report import Section, format_number
from pyxai.selection import (
    FeatureSelection,
    SelectionCurve,
    baseline_feature_selection,
    greedy_feature_selection,
    selection_curve,
)

__all__ = ["MeasuredColumns", "conclusions", "measure_columns", "section"]

ORDERS = {
    "Exact greedy": "exact",
    "Mean |IG| of the loss": "integrated_gradients",
    "Permutation": "permutation",
}
OF_LOGIT = "Mean |IG| of the logit"  # of the true class: not what the loss's integrals rank
N_RANDOM = 8  # random orders that are averaged
SHOWN = 8  # columns in the table


@dataclass(frozen=True, eq=False)
class MeasuredColumns:
    """Orders of the columns of a table, made on the training rows.

    Attributes
    ----------
    task : Task
        Whose model and rows.
    greedy : FeatureSelection
        The columns in the order of Greedy PIG.
    orders : dict of str to Tensor, shape [n_columns]
        Columns, the best first, by the title of the rule; the first is the greedy one.
    known, unseen : dict of str to SelectionCurve
        Mean loss by number of columns, on training and on unseen rows; with the random order.
    hits : SelectionCurve
        Accuracy on the unseen rows in the greedy order.
    """

    task: Task
    greedy: FeatureSelection
    orders: dict[str, Tensor]
    known: dict[str, SelectionCurve]
    unseen: dict[str, SelectionCurve]
    hits: SelectionCurve

    @property
    def n_enough(self) -> int:
        """Fewest columns from which on the unseen accuracy is within 3 points of that with all."""
        far = (self.hits.values < self.hits.values[-1] - 0.03).nonzero()
        return int(self.hits.sizes[int(far[-1]) + 1]) if len(far) else 0


def measure_columns(task: Task) -> MeasuredColumns:
    """Order the columns of a table by five rules and by chance.

    Parameters
    ----------
    task : Task
        With its training rows.

    Returns
    -------
    MeasuredColumns
    """
    assert task.train is not None
    model, known, unseen = task.model, task.train, (task.inputs, task.labels)
    mean = known[0].mean(0)
    options: dict[str, Any] = {"feature_names": task.feature_names}
    greedy = greedy_feature_selection(model, known, **options)
    orders = {"Greedy PIG": greedy.order} | {
        title: baseline_feature_selection(model, known, order_by=rule, curve=False).order
        for title, rule in ORDERS.items()
    }
    orders[OF_LOGIT] = _by_logit(task, mean)
    chance = [
        baseline_feature_selection(model, known, order_by="random", seed=seed, curve=False).order
        for seed in range(N_RANDOM)
    ]

    def curves(rows: Any) -> dict[str, SelectionCurve]:
        def curve(order: Tensor) -> SelectionCurve:
            return selection_curve(model, rows, order, baselines=mean)

        found = {title: curve(order) for title, order in orders.items()}
        return {**found, "Random": _averaged([curve(order) for order in chance])}

    hits = selection_curve(model, unseen, greedy, metric="accuracy", baselines=mean)
    return MeasuredColumns(task, greedy, orders, curves(known), curves(unseen), hits)


def _by_logit(task: Task, mean: Tensor) -> Tensor:
    """Return the columns by mean absolute integrated gradients of the true class's logit."""
    assert task.train is not None
    rows, labels = task.train
    found = explain(
        task.model, rows, method="integrated_gradients", target=labels, baselines=mean[None]
    )
    assert isinstance(found.attributions, Tensor)
    return found.attributions.detach().double().abs().mean(0).argsort(descending=True, stable=True)


def _averaged(curves: list[SelectionCurve]) -> SelectionCurve:
    values = torch.stack([each.values for each in curves]).mean(0)
    return SelectionCurve(curves[0].sizes, values, curves[0].metric)


def section(above: Section, measured: MeasuredColumns) -> None:
    """Append a fold about the columns that suffice.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredColumns
        What it is about.
    """
    total = len(measured.task.inputs[0])
    part = above.fold(f"How few measurements it needs: {measured.n_enough} of {total}")
    part.text(
        "So far each tumour had an explanation of its own. Here one set of measurements is chosen "
        "for all of them: those that the model does well with while it is shown the average for "
        "the others. Greedy PIG scores all measurements at once, adds the best, and scores again; "
        "exact greedy tries every measurement in every round. Integrated gradients rank once, by "
        "the mean absolute value over the rows: of each row's loss, or of the logit of its class."
    )
    part.figure(
        lambda: _curves(measured),
        alt="Mean loss by number of measurements shown, for six orders of the measurements",
        caption="Mean cross-entropy; lower is better. The orders were made on the training rows. "
        f"“Random” is the mean of {N_RANDOM} orders.",
    )
    others = [title for title in measured.orders if title != "Greedy PIG"]
    part.table(
        ("", "Measurement", "Loss with it", *(f"Place, {title}" for title in others)),
        _rows(measured),
        caption=f"The first {SHOWN} measurements in the order of Greedy PIG, the mean training "
        "loss with all of them down to this line, and where other rules put the measurement.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredColumns) -> tuple[list[str], list[str]]:
    """Say what the curves allow.

    Parameters
    ----------
    measured : MeasuredColumns
        Of the table.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    count, hits = measured.n_enough, measured.hits
    known, unseen = _listed(measured.known), _listed(measured.unseen)
    total = len(measured.task.inputs[0])
    right = float(hits.values[hits.sizes == count])
    can = [
        f"How many measurements suffice. With the first {count} of {total}, the others at their "
        f"average, the model still gets {percent(right)} of the unseen tumours right; with all it "
        f"gets {percent(float(hits.values[-1]))}, and with any number between never 3 points less.",
        f"Which order is better for this model: the mean training loss over 1 to {total} "
        f"measurements is {known}.",
    ]
    cannot = [
        f"That the orders rank so on other rows, too. On the unseen ones the means are {unseen}: a "
        "model that is sure of itself pays much for few mistakes, and it has never seen rows with "
        "measurements at their average.",
        "That the measurements that come late say nothing. Many say again what is shown already, "
        "and then there is little left for them to add.",
        "How well a model would do that is trained on the first few alone: this one was trained "
        "on all and is only shown fewer.",
    ]
    return can, cannot


def _listed(curves: dict[str, SelectionCurve]) -> str:
    return listed([f"{format_number(each.mean)} ({title})" for title, each in curves.items()])


def _rows(measured: MeasuredColumns) -> list[tuple[Any, ...]]:
    first, *others = measured.orders.values()
    loss = measured.known["Greedy PIG"].values
    return [
        (
            place,
            measured.greedy.names[feature],
            float(loss[place]),
            *(int((order == feature).nonzero()) + 1 for order in others),
        )
        for place, feature in enumerate(first[:SHOWN].tolist(), 1)
    ]


def _curves(measured: MeasuredColumns) -> Any:
    """Draw the loss by number of columns, on training and on unseen rows."""
    figure, axes = subplots(2, 1, figsize=(3.7, 6.6), sharey=True)
    panels = {"training rows": measured.known, "unseen rows": measured.unseen}
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        plot.selection(curves, ax=ax, title=title)
        ax.set_xlabel("number of measurements shown")
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylim(bottom=0)
    return figure
