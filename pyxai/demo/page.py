"""The demonstration's report: which sections it has, in which order.

A section is one function that takes what was measured and appends to the report. What most readers
look at is open; the rest is in folds. A new part of the demonstration is a field of `Found`, a new
function here or a file in `sections`, and one line in `build`.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

import pyxai
from pyxai import registry
from pyxai.demo import conclusions, figures
from pyxai.demo.families import FAMILIES, members, representatives
from pyxai.demo.fourteen import page as fourteen_page
from pyxai.demo.fourteen.comparison import Fourteen
from pyxai.demo.measure import Measured, Result
from pyxai.demo.sections import (
    audited,
    columns,
    frequencies,
    graph,
    hierarchies,
    panels,
    photograph,
    phrases,
    pixels,
    reading,
    wavelet,
)
from pyxai.demo.words import listed, percent, title
from pyxai.report import Bar, Report, Section, format_number, format_seconds

__all__ = ["Found", "build"]


@dataclass(frozen=True, eq=False)
class Found:
    """All that the demonstration measured, in the order of the page."""

    photograph: photograph.MeasuredPhotograph
    reading: reading.MeasuredReading
    table: Measured
    digits: Measured
    audit: audited.Audited
    fourteen: tuple[Fourteen, Fourteen]
    reveal: pixels.MeasuredReveal
    columns: columns.MeasuredColumns
    panels: panels.MeasuredPanels
    hierarchies: hierarchies.MeasuredHierarchies
    phrases: phrases.MeasuredPhrases | None
    frequencies: frequencies.MeasuredFrequencies
    graph: graph.MeasuredGraph
    wavelet: wavelet.MeasuredWavelet
    seconds: float
    seed: int


def build(found: Found) -> Report:
    """Write the report of a finished demonstration.

    Parameters
    ----------
    found : Found
        What was measured.

    Returns
    -------
    Report
        Ready to be written.
    """
    built = pyxai.backends()
    report = Report(
        "What do these models look at?",
        _lead(found.digits, found.table),
        f"pyxai {pyxai.__version__}, torch {built['torch']}, Python {platform.python_version()}, "
        f"{built['threads']} threads, backends {', '.join(built['built'])}; seed {found.seed}; "
        f"measured in {format_seconds(found.seconds)}. This file loads nothing from anywhere.",
    )
    photograph.section(report, found.photograph)
    reading.section(report, found.reading)
    _table(report, found.table)
    _digits(report, found.digits)
    audited.section(report, found.audit)
    _checks(report, found.digits, found.table)
    fourteen_page.section(report, *found.fourteen)
    _more(report.section("More questions"), found)
    return report


def _lead(digits: Measured, table: Measured) -> str:
    missing = conclusions.not_shown(digits, table)
    but = f" but {listed(missing)}" if missing else ""
    return (
        "Small models, trained a moment ago: what they see in a photograph, a sentence, a row of a "
        "table and in digits, and how far each answer can be believed. All methods that "
        f"pyxai.explain knows by name are shown{but}."
    )


def _table(report: Report, measured: Measured) -> None:
    result = _complete_result(measured)
    rows, titles = _typical_and_close(measured)
    section = report.section("One row of a table")
    section.text(
        f"A perceptron with two hidden layers, trained on {measured.task.n_train} tumours of 30 "
        f"measurements each, is right about {percent(measured.task.accuracy)} of "
        f"{len(measured.task.inputs)} others. Each bar says how far one measurement moves the "
        f"output from where it stands for {measured.task.baseline_words}."
    )
    for row, name in zip(rows, titles, strict=True):
        chosen = measured.task.class_names[int(measured.target[row])]
        place = section if row == rows[0] else section.fold(name)
        place.figure(
            lambda row=row: figures.waterfall(result, row),  # type: ignore[misc]
            narrow=lambda row=row: figures.waterfall(result, row, narrow=True),  # type: ignore[misc]
            alt=f"Waterfall from the base value to the output of one tumour: {name}",
            caption=f"{name}. {title(result.name)}, in logits of {chosen}; beside each name the "
            "measurement, in standard deviations from the mean.",
        )
    fold = section.fold(f"All {len(measured.target)} rows, by {len(measured.results)} methods")
    fold.figure(
        lambda: figures.shares(measured),
        alt="Share of each leading measurement in the attributions of each method",
        caption="Each measurement's share of all absolute attribution: a dot for each method, the "
        "line in ochre is the middle one.",
    )
    fold.conclusions(*conclusions.for_table(measured))
    _tried(fold, measured, measured.results)
    _left_out(fold, measured)


def _digits(report: Report, measured: Measured) -> None:
    rows = _one_of_each(measured)
    shown, families = representatives(measured), members(measured)
    section = report.section("The methods, by family")
    section.text(
        f"A convolutional net, trained on {measured.task.n_train:,} handwritten digits of 8 x 8 "
        f"pixels, reads {percent(measured.task.accuracy)} of {len(measured.task.inputs)} others. "
        f"Which pixels made it say so? {len(measured.results)} methods answer, in "
        f"{len(families)} families; here is one of each."
    )
    section.figure(
        lambda: figures.overview(measured, rows[:4], shown, narrow=False),
        narrow=lambda: figures.overview(measured, rows, shown, narrow=True),
        alt=f"Heatmaps of {len(rows)} digits by {len(shown)} methods, one of each family",
        caption="At each digit stands what the net says. Red speaks for it, blue against it, "
        "white says nothing. Each map has its own scale: compare patterns, not strengths.",
    )
    section.conclusions(*conclusions.for_digits(measured))
    for name, results in families.items():
        family = FAMILIES.get(name)
        count = f"{len(results)} method{'' if len(results) == 1 else 's'}"
        fold = section.fold(
            f"{family.title if family else name}: {count}", family.does if family else ""
        )
        fold.figure(
            lambda results=results: figures.overview(  # type: ignore[misc]
                measured, rows, results, narrow=True
            ),
            alt=f"Heatmaps of {len(rows)} digits by {listed([title(r.name) for r in results])}",
            caption="Where a method values blocks, each pixel shows its part.",
        )
        _tried(fold, measured, results)
    _left_out(section, measured)


def _tried(section: Section, measured: Measured, results: list[Result]) -> None:
    """Append the table of what methods compute, cost and are worth."""
    slowest = max(result.seconds for result in measured.results)
    section.table(
        ("Method", "What it computes", "Time", "Rows run", "Gap", "Fall"),
        [
            (
                title(result.name),
                registry.get(result.name).summary,
                Bar(format_seconds(result.seconds), result.seconds / slowest),
                result.rows or "in the graph",
                percent(conclusions.gap_share(measured, result))
                if result.complete
                else "no promise",
                float(result.drops[:, 1:].mean()),
            )
            for result in results
        ],
        caption=f"{len(measured.target)} rows at once on the CPU. Rows run: through the model. "
        "Gap: what attributions miss of the output's difference from the baseline's. Fall: of the "
        "logit when what ranks first is removed.",
    )


def _left_out(section: Section, measured: Measured) -> None:
    if measured.left_out:
        reasons = [f"{title(name)} ({why})" for name, why in measured.left_out.items()]
        section.text(f"Left out: {listed(reasons)}.")


def _checks(report: Report, digits: Measured, table: Measured) -> None:
    section = report.section("Can it be believed?")
    section.text(
        "An explanation is a claim about a model, and claims can be checked. Take away the parts "
        "that a method ranks first, one after another, and watch the output fall: the further, the "
        "better the ranking. Two controls need no model: a random order, and the largest input "
        "values first."
    )
    section.conclusions(*conclusions.for_removal(digits, "pixels"))
    for measured, parts in ((digits, "pixels"), (table, "measurements")):
        count = measured.random_drops.shape[1] - 1
        others = conclusions.asked_otherwise(measured)
        fold = section.fold(f"The fall of the output for {measured.task.name}, by method")
        hollow = (
            f" Hollow: {listed(others)}, which compare with other rows of the data, or value "
            "groups, windows or places of a layer, were asked another question."
        )
        fold.figure(
            lambda measured=measured: figures.removal(measured),  # type: ignore[misc]
            alt=f"Mean fall of the logit when {parts} are removed, by method",
            caption=f"Averaged over removing 1 to {count} {parts} of {len(measured.target)} rows; "
            "the whisker is two standard errors; controls in ochre." + (hollow if others else ""),
        )
        if measured is table:
            fold.conclusions(*conclusions.for_removal(table, parts))
    if len(digits.results) > 1:
        section.fold("Do the methods agree?").figure(
            lambda: figures.agreement(digits),
            alt="Rank correlation between families of methods on the digits",
            caption="Mean rank correlation of the pixels' attributions, in hundredths, between the "
            "methods of two families and, on the diagonal, between different ones of a family. 100 "
            "is the same order, 0 has nothing in common.",
        )


def _more(section: Section, found: Found) -> None:
    section.text(
        "What else can be asked, of the same models and of others that were trained for it. Click "
        "on a line to open it."
    )
    _mistake(section, found.digits)
    pixels.section(section, found.reveal)
    columns.section(section, found.columns)
    hierarchies.section(section, found.hierarchies)
    phrases.section(section, found.phrases)
    panels.section(section, found.panels)
    frequencies.section(section, found.frequencies)
    graph.section(section, found.graph)
    wavelet.section(section, found.wavelet)


def _mistake(above: Section, measured: Measured) -> None:
    """One digit that the model gets wrong: what spoke for either class."""
    predictions, labels = measured.task.predictions, measured.task.labels
    wrong = (predictions != labels).nonzero().flatten().tolist()
    if not wrong:
        return
    row, method = wrong[0], _complete_result(measured).name
    chosen, truth = int(predictions[row]), int(labels[row])
    image = measured.task.inputs[row : row + 1]
    maps = []
    for label in (chosen, truth):
        explanation = pyxai.explain(measured.task.model, image, method=method, target=label)
        assert isinstance(explanation.attributions, torch.Tensor)
        maps.append(explanation.attributions.detach()[0, 0])
    ours, theirs = maps
    logits = measured.task.model(image)[0]
    names = measured.task.class_names
    drawn = [
        (f"for {names[chosen]}", ours),
        (f"for {names[truth]}", theirs),
        ("difference", ours - theirs),
    ]
    section = above.fold(f"Why it was wrong: a {names[truth]} read as a {names[chosen]}")
    section.text(
        f"This {names[truth]} was read as a {names[chosen]}. The net's logits are "
        f"{format_number(float(logits[chosen]))} for {names[chosen]} and "
        f"{format_number(float(logits[truth]))} for {names[truth]}. The last map is the difference "
        "of the other two: what tipped the balance."
    )
    section.figure(
        lambda: figures.mistake(image[0, 0], drawn, 4),
        narrow=lambda: figures.mistake(image[0, 0], drawn, 2),
        alt=f"Attributions of a misread digit for the classes {names[chosen]} and {names[truth]}",
        caption=f"{title(method)}, in logits; all maps share one scale, red is for, blue against.",
    )


def _complete_result(measured: Measured) -> Result:
    """Return a method whose attributions add up, the best known one first; else any."""
    some = [result for result in measured.results if result.complete] or measured.results
    return min(some, key=lambda result: result.name != "integrated_gradients")


def _one_of_each(measured: Measured, count: int = 5) -> list[int]:
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
    return [typical, close], ["A typical malignant tumour", f"The closest call: {chosen}"]
