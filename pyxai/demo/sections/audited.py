"""The demonstration's audit: some methods and metrics on all of the digits that were kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pyxai.audit import Audit, audit, load
from pyxai.demo.figures import BLUE, subplots
from pyxai.demo.tasks import Task
from pyxai.demo.words import listed, title
from pyxai.report import Report, format_number, of_audit

__all__ = ["Audited", "conclusions", "measure_audit", "section"]

FOLDER = "audit-of-the-digits"
METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "deep_lift",
    "lrp",
    "feature_ablation",
)
N_POINTS = 17  # of the curves: every fourth pixel
METRICS: dict[str, Any] = {
    "deletion": ("deletion", {"n_points": N_POINTS}),
    "insertion": ("insertion", {"n_points": N_POINTS}),
    "infidelity": "infidelity",
    "sparseness": "sparseness",
}
MEANS = {
    "deletion": "the probability while pixels go",
    "insertion": "that while they come",
    "infidelity": "the error of predicted changes",
    "sparseness": "how few pixels carry the attribution",
}
BETTER = {"higher": "higher is better", "lower": "lower is better"}


@dataclass(frozen=True, eq=False)
class Audited:
    """An audit and the leaderboard of its methods.

    Attributes
    ----------
    audit : Audit
        The readers.
    board : DataFrame
        As `pyxai.audit.Audit.leaderboard` makes it.
    """

    audit: Audit
    board: Any

    def best(self, metric: str) -> list[str]:
        """Return the methods that are not significantly worse than the first by a metric."""
        tied = self.board[metric, "best"].fillna(False)
        return [str(name) for name in self.board.index[tied.astype(bool)]]

    def first(self, metric: str) -> str:
        """Return the method with the best mean of a metric."""
        return str(self.board[metric, "rank"].astype(float).idxmin())


def measure_audit(task: Task, folder: Path, seed: int) -> Audited:
    """Explain all test rows by some methods, and measure how well.

    Parameters
    ----------
    task : Task
        Of images.
    folder : Path
        In which the audit's own folder is; one of another model there is done anew.
    seed : int
        What all random choices are made from.

    Returns
    -------
    Audited
    """
    out = folder / FOLDER

    def run() -> Audit:
        data = (task.inputs, task.labels)
        return audit(task.model, data, METHODS, METRICS, out, baselines=0.0, seed=seed)

    try:
        done = run()
    except ValueError:
        load(out)  # an error of its own unless this is an audit, of another model
        shutil.rmtree(out)
        done = run()
    page = of_audit(out, (task.inputs, task.labels), class_names=list(task.class_names))
    page.write(out / "report.html")
    return Audited(done, done.leaderboard(list(METRICS)))


def section(report: Report, measured: Audited) -> None:
    """Append the section about the audit.

    Parameters
    ----------
    report : Report
        To append to.
    measured : Audited
        What it is about.
    """
    part = report.section("An audit of the test set")
    part.text(
        f"{len(measured.audit.methods)} methods explain all {len(measured.audit)} test digits, and "
        "each explanation is measured: not which picture is nicer is the question, but which "
        "method serves this model."
    )
    part.figure(
        lambda: _board(measured, 4),
        narrow=lambda: _board(measured, 1),
        alt="Mean of four metrics by method, with intervals",
        caption="Means over all test digits and their 95 % intervals: "
        f"{listed([f'{name} is {meant}' for name, meant in MEANS.items()])}. Full dots: not "
        "significantly worse than the first, by the differences on the same digits.",
    )
    part.conclusions(*conclusions(measured))
    part.html(
        Markup(
            '<p><a href="{0}/report.html">The page of this audit</a> has each method, class and '
            "digit; it is in the folder <code>{0}</code> beside this one.</p>"
        ).format(FOLDER)
    )


def conclusions(measured: Audited) -> tuple[list[str], list[str]]:
    """Say what the leaderboard allows.

    Parameters
    ----------
    measured : Audited
        Of the digits.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    board = measured.board
    can = []
    for metric in METRICS:
        first, best = measured.first(metric), measured.best(metric)
        others = [title(name) for name in best if name != first]
        mean = format_number(float(board.loc[first, (metric, "mean")]))
        tied = f"; {listed(others)} not significantly behind" if others else ""
        can.append(f"By {metric}: {title(first)} first, with {mean}{tied}.")
    failed = int(max(board[metric, "failures"].max() for metric in METRICS))
    if failed:
        can.append(f"That up to {failed} digits have no answer by a method.")
    firsts = {measured.first(metric) for metric in METRICS}
    cannot = [
        "That one method is the best of all: "
        + (
            f"the metrics put {listed([title(name) for name in sorted(firsts)])} first."
            if len(firsts) > 1
            else "that the metrics agree is a finding about this model and these digits."
        ),
        "That the differences matter. With many rows a small one is significant, too.",
    ]
    return can, cannot


def _board(measured: Audited, columns: int) -> Any:
    """Draw one panel a metric: a dot and an interval for each method."""
    board, names = measured.board, list(measured.audit.methods)[::-1]
    lines = len(METRICS) // columns
    size = (9.6, 2.4) if columns > 1 else (3.7, 1.75 * lines)
    figure, axes = subplots(lines, columns, figsize=size, sharey=columns > 1, squeeze=False)
    for ax, metric in zip(axes.flat, METRICS, strict=True):
        best = measured.best(metric)
        for place, name in enumerate(names):
            mean, low, high = (
                float(board.loc[name, (metric, each)]) for each in ("mean", "low_95", "high_95")
            )
            fill = BLUE if name in best else ax.get_facecolor()
            ax.plot([low, high], [place, place], color=BLUE, linewidth=2, alpha=0.5)
            ax.plot(mean, place, "o", color=BLUE, mfc=fill)
        way = BETTER.get(str(board[metric, "better"].iloc[0]), "")
        ax.set_title(f"{metric}\n{way}")
        ax.set_yticks(range(len(names)), [title(name) for name in names])
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.grid(axis="x", alpha=0.25)
    return figure
