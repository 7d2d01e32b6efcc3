"""The demonstration's report: which sections it has, in which order.

A section is one function that takes what was measured and appends to the report. A new part of the
demonstration is a new function here and one line in `build`.
"""

from __future__ import annotations

import platform

import torch

import pyxai
from pyxai.demo import conclusions, figures
from pyxai.demo.fourteen import page as fourteen_page
from pyxai.demo.fourteen.comparison import measure_fourteen
from pyxai.demo.measure import Measured
from pyxai.demo.sections import columns, frequencies, hierarchies, panels, phrases, pixels
from pyxai.demo.sections import graph as graph_section
from pyxai.demo.sections import wavelet as wavelet_section
from pyxai.demo.words import listed, percent, title
from pyxai.report import Bar, Report, format_number, format_seconds

__all__ = ["build"]


def build(
    digits: Measured,
    table: Measured,
    graph: graph_section.MeasuredGraph,
    wavelet: wavelet_section.MeasuredWavelet,
    seconds: float,
    seed: int,
) -> Report:
    """Write the report of a finished demonstration.

    Parameters
    ----------
    digits, table : Measured
        What was found out about the two models.
    graph : MeasuredGraph
        What was found out about the network on a graph.
    wavelet : MeasuredWavelet
        Wavelets learnt from a net.
    seconds : float
        How long the whole demonstration took.
    seed : int
        What its random choices were made from.

    Returns
    -------
    Report
        Ready to be written.
    """
    built = pyxai.backends()
    report = Report(
        "What do these models look at?",
        "Two small models, trained a moment ago, explained by every method of this package, how "
        "far each explanation can be believed, and the edges that a third one needs.",
        f"pyxai {pyxai.__version__}, torch {built['torch']}, Python {platform.python_version()}, "
        f"{built['threads']} threads, backends {', '.join(built['built'])}; seed {seed}; made in "
        f"{format_seconds(seconds)}. This file loads nothing from anywhere.",
    )
    report.section("In short").text(*conclusions.for_summary(digits, table))
    _digits(report, digits)
    _mistake(report, digits)
    pixels.section(report, pixels.measure_reveal(digits))
    _table(report, table)
    columns.section(report, columns.measure_columns(table.task))
    fourteen_page.section(report, *measure_fourteen(digits.task, table.task))
    panels.section(report, panels.measure_panels(seed))
    hierarchies.section(report, hierarchies.measure_hierarchies(digits.task, seed))
    phrases.section(report, phrases.measure_phrases(seed))
    frequencies.section(report, frequencies.measure_frequencies(seed))
    graph_section.section(report, graph)
    wavelet_section.section(report, wavelet)
    _checks(report, digits, table)
    _methods(report, digits, table)
    return report


def _digits(report: Report, measured: Measured) -> None:
    rows = _one_of_each(measured)
    section = report.section("What it sees in a digit")
    section.text(
        f"A convolutional net, trained on {measured.task.n_train:,} digits of 8 x 8 pixels. Each "
        "column is one unseen digit, each row one method's answer to the question: which pixels "
        "made the model say so?"
    )
    section.figure(
        lambda: figures.overview(measured, rows),
        alt=f"Heatmaps of {len(rows)} digits by {len(measured.results)} methods",
        caption="Red speaks for the class that the model chose, blue against it, white says "
        "nothing. Each map has its own scale: compare patterns, not strengths, between rows. "
        "Saliency-like methods have no sign. "
        "Where a method values blocks, each pixel shows its part.",
        least_width=480,
    )
    section.conclusions(*conclusions.for_digits(measured))


def _mistake(report: Report, measured: Measured) -> None:
    """One digit that the model gets wrong: what spoke for either class."""
    predictions, labels = measured.task.predictions, measured.task.labels
    wrong = (predictions != labels).nonzero().flatten().tolist()
    method = _complete_method(measured)
    if not wrong or method is None:
        return
    row = wrong[0]
    chosen, truth = int(predictions[row]), int(labels[row])
    image = measured.task.inputs[row : row + 1]
    maps = []
    for label in (chosen, truth):
        explanation = pyxai.explain(measured.task.model, image, method=method, target=label)
        assert isinstance(explanation.attributions, torch.Tensor)
        maps.append((label, explanation.attributions.detach()[0, 0]))
    (_, ours), (_, theirs) = maps
    logits = measured.task.model(image)[0]
    names = measured.task.class_names
    section = report.section("Why it was wrong")
    section.text(
        f"This {names[truth]} was read as a {names[chosen]}. The model's logits are "
        f"{format_number(float(logits[chosen]))} for {names[chosen]} and "
        f"{format_number(float(logits[truth]))} for {names[truth]}. The last map is the difference "
        "of the other two: what tipped the balance."
    )
    section.figure(
        lambda: figures.mistake(
            image[0, 0],
            [
                (f"for {names[chosen]}", ours),
                (f"for {names[truth]}", theirs),
                ("difference", ours - theirs),
            ],
        ),
        alt=f"Attributions of a misread digit for the classes {names[chosen]} and {names[truth]}",
        caption=f"{title(method)}, in logits; all maps share one scale.",
        least_width=560,
    )


def _table(report: Report, measured: Measured) -> None:
    method = _complete_method(measured) or measured.results[0].name
    rows, titles = _typical_and_close(measured)
    section = report.section("What it sees in a tumour")
    section.text(
        f"A perceptron with two hidden layers, trained on {measured.task.n_train} rows of 30 "
        "measurements. A bar says how far that measurement moves the output from where it stands "
        f"for {measured.task.baseline_words}."
    )
    section.figure(
        lambda: figures.bars(measured, method, rows, titles),
        alt="Leading measurements of two tumours as bars",
        caption=f"{title(method)}. The number beside a name is the measurement, in standard "
        "deviations from the mean.",
        least_width=760,
    )
    section.figure(
        lambda: figures.table_overview(measured),
        alt="Share of each leading measurement in the attributions of each method",
        caption=f"Share of all absolute attribution over {len(measured.target)} unseen rows.",
        least_width=480,
    )
    section.conclusions(*conclusions.for_table(measured))


def _checks(report: Report, digits: Measured, table: Measured) -> None:
    section = report.section("Can it be believed?")
    section.text(
        "An explanation is a claim about a model, and claims can be checked. Take away the parts "
        "that a method ranks first, one after another, and watch the output fall: the further, the "
        "better the ranking. Two controls need no model: a random order, and the largest input "
        "values first."
    )
    for measured, parts in ((digits, "pixels"), (table, "measurements")):
        section.heading(measured.task.name[:1].upper() + measured.task.name[1:])
        count = measured.random_drops.shape[1] - 1
        section.figure(
            lambda measured=measured: figures.removal(measured),  # type: ignore[misc]
            alt=f"Mean fall of the logit when {parts} are removed, by method",
            caption=f"Averaged over removing 1 to {count} {parts} of {len(measured.target)} rows; "
            "the whisker is two standard errors; controls in ochre. Methods that compare with "
            "other rows rather than with the baseline, or that value groups, were asked another "
            "question.",
            least_width=460,
        )
    if len(digits.results) > 1:
        section.heading("Do the methods agree?")
        section.figure(
            lambda: figures.agreement(digits),
            alt="Rank correlation between methods on the digits",
            caption="Mean rank correlation of the pixels' attributions, in hundredths. 100 is the "
            "same order, 0 has nothing in common.",
            least_width=760,
        )


def _methods(report: Report, digits: Measured, table: Measured) -> None:
    section = report.section("The methods")
    section.text(
        "“Rows run” is how many rows went through the model for one call; methods that work on its "
        "traced graph run it inside. The completeness gap "
        "is how far the attributions are from summing to the difference between the output and "
        "the baseline's output, as a share of it; it is shown where a method promises that they "
        "do."
    )
    for measured in (digits, table):
        section.heading(measured.task.name[:1].upper() + measured.task.name[1:])
        slowest = max(result.seconds for result in measured.results)
        section.table(
            ("Method", "Time", "Rows run", "Completeness gap", "Fall when removed"),
            [
                (
                    title(result.name),
                    Bar(format_seconds(result.seconds), result.seconds / slowest),
                    result.rows or "in the graph",
                    percent(conclusions.gap_share(measured, result))
                    if result.complete
                    else "no promise",
                    float(result.drops[:, 1:].mean()),
                )
                for result in measured.results
            ],
            caption=f"{len(measured.target)} rows explained at once on the CPU; best of three "
            "calls.",
        )
        if measured.left_out:
            reasons = [f"{title(name)} ({why})" for name, why in measured.left_out.items()]
            section.text(f"Left out: {listed(reasons)}.")


def _complete_method(measured: Measured) -> str | None:
    """Return a method whose attributions add up, the best known one first."""
    names = [result.name for result in measured.results if result.complete]
    return min(names, key=lambda name: name != "integrated_gradients", default=None)


def _one_of_each(measured: Measured, count: int = 6) -> list[int]:
    """Return rows of different classes that the model gets right, first come, first taken."""
    labels = measured.task.labels[: len(measured.target)]
    chosen: dict[int, int] = {}
    for row in (measured.target == labels).nonzero().flatten().tolist():
        chosen.setdefault(int(labels[row]), row)
    return [chosen[label] for label in sorted(chosen)][:count]


def _typical_and_close(measured: Measured) -> tuple[list[int], list[str]]:
    """Return a malignant row of median margin and the closest call, with their titles."""
    logits = measured.task.model(measured.task.inputs[: len(measured.target)])
    margin = logits[:, 0] - logits[:, 1]
    malignant = (measured.target == 0).nonzero().flatten()
    order = malignant[margin[malignant].argsort()]
    typical, close = int(order[len(order) // 2]), int(margin.abs().argmin())
    chosen = measured.task.class_names[int(measured.target[close])]
    return [typical, close], ["A typical malignant one", f"The closest call: {chosen}"]
