"""What the numbers of the demonstration allow a reader to say, and what not, in plain language.

Every sentence is computed: another seed, another method or a worse model gives other sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.demo.measure import Measured, Result
from pyxai.demo.words import listed, percent, title
from pyxai.report import format_number

__all__ = ["for_digits", "for_summary", "for_table", "gap_share"]


def gap_share(measured: Measured, result: Result) -> float:
    """Return the mean completeness gap as a share of the mean output difference.

    Parameters
    ----------
    measured : Measured
        The task's outputs.
    result : Result
        One method on it.

    Returns
    -------
    float
        0 when the attributions add up to the output difference exactly.
    """
    return float(result.gap.abs().mean() / measured.difference.abs().mean())


def for_digits(measured: Measured) -> tuple[list[str], list[str]]:
    """Say what the pictures of the digits allow.

    Parameters
    ----------
    measured : Measured
        Of the digits.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    can = [*_completeness(measured), *_removal(measured, "pixels")]
    blank = (measured.task.inputs[: len(measured.target)].flatten(1) == 0).float().mean()
    cannot = [
        f"That blank pixels do not matter. {percent(float(blank))} of the pixels have no ink, and "
        "removing ink that is not there changes nothing, so every method that compares with a "
        "blank page gives them exactly 0. The missing stroke that tells a 3 from an 8 is invisible "
        "here; another baseline would show it.",
        *_disagreement(measured),
    ]
    return can, cannot


def for_table(measured: Measured) -> tuple[list[str], list[str]]:
    """Say what the bars of the table allow.

    Parameters
    ----------
    measured : Measured
        Of the table.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    names = measured.task.feature_names or ()
    strength = torch.stack(
        [result.flat.abs().mean(0) / result.flat.abs().mean() for result in measured.results]
    ).mean(0)
    lead = int(strength.argmax())
    correlation = torch.corrcoef(measured.task.inputs.T)
    correlation.fill_diagonal_(0)
    pair = int(correlation.abs().argmax())
    first, second = divmod(pair, correlation.shape[1])
    can = [
        f"Which measurements this model leans on: averaged over methods and rows it is first of "
        f"all “{names[lead]}”.",
        *_completeness(measured),
        *_removal(measured, "measurements"),
    ]
    cannot = [
        "That these measurements cause anything, or that a doctor should weigh them so. The bars "
        "describe one small model.",
        f"How much a single one of several related measurements matters. “{names[first]}” and "
        f"“{names[second]}” rise and fall together (correlation "
        f"{float(correlation[first, second]):.3f}); which of them the model happens to use is "
        "close to chance, and a second training can swap them.",
        *_disagreement(measured),
    ]
    return can, cannot


def for_summary(digits: Measured, table: Measured) -> list[str]:
    """Give the three sentences that stand at the top of the report.

    Parameters
    ----------
    digits, table : Measured
        Both tasks.

    Returns
    -------
    list of str
        One paragraph each.
    """
    task = digits.task
    exact = [r for r in digits.results if r.complete and gap_share(digits, r) < 0.01]
    best = [r for r in _ranked(digits) if not _beats(_ranked(digits)[0].drops, r.drops)]
    return [
        f"A small convolutional net reads {percent(task.accuracy)} of {len(task.inputs)} unseen "
        f"handwritten digits correctly, and a small perceptron {percent(table.task.accuracy)} of "
        f"{len(table.task.inputs)} unseen tumours. Below, {len(digits.results)} methods say which "
        "parts of the input their outputs rest on, and three checks say how far to believe them.",
        (
            f"The attributions of {listed([title(r.name) for r in exact])} add up to the output "
            "they explain to within one percent, so they can be read as shares of it. "
            if exact
            else "No method's attributions add up to the output within one percent. "
        )
        + "Measured by how far the output falls when the named pixels are removed, "
        f"{listed([title(r.name) for r in best])} find{'s' if len(best) == 1 else ''} the most "
        f"important ones{'' if len(best) == 1 else ', with no clear difference between them'}.",
        f"Methods disagree (rank correlations down to {float(digits.agreement.min()):.2f}): they "
        "answer different questions, and an explanation is only as good as the check that stands "
        "beside it.",
    ]


def _ranked(measured: Measured) -> list[Result]:
    """Return the results, largest mean fall of the output first."""
    return sorted(measured.results, key=lambda r: -float(r.drops[:, 1:].mean()))


def _completeness(measured: Measured) -> list[str]:
    promised = [result for result in measured.results if result.complete]
    kept = [result for result in promised if gap_share(measured, result) < 0.01]
    said = []
    if kept:
        worst = max(gap_share(measured, result) for result in kept)
        said.append(
            f"How much of the output each part carries, for {listed([title(r.name) for r in kept])}"
            f": the values sum to the difference from the baseline's logit, off by {percent(worst)}"
            " at most on average."
        )
    broken = [result for result in promised if result not in kept]
    if broken:
        gaps = listed([f"{title(r.name)} ({percent(gap_share(measured, r))})" for r in broken])
        said.append(
            f"That the values of {gaps} add up only roughly: read their order, not their sum."
        )
    return said


def _removal(measured: Measured, parts: str) -> list[str]:
    ranked = _ranked(measured)
    best, count = ranked[0], measured.random_drops.shape[1] - 1
    fall, chance = float(best.drops[:, -1].mean()), float(measured.random_drops[:, -1].mean())
    said = [
        f"That the model really uses what is marked: without the {count} {parts} that "
        f"{title(best.name)} ranks first the logit falls by {format_number(fall)} on average, "
        f"without {count} random ones by {format_number(chance)}."
    ]
    alone = [result for result in ranked if result.single]
    weak = [result for result in alone if not _beats(result.drops, measured.plain_drops)]
    if weak:
        said.append(
            f"That a convincing picture is not enough: {listed([title(r.name) for r in weak])} "
            f"{'does' if len(weak) == 1 else 'do'} not clearly beat removing the {parts} with the "
            "largest values first, an order that looks at no model at all."
        )
    return said


def _beats(drops: Tensor, control: Tensor) -> bool:
    """Whether the mean paired difference exceeds two standard errors."""
    difference = (drops - control)[:, 1:].mean(1)
    return bool(difference.mean() > 2 * difference.std() / len(difference) ** 0.5)


def _disagreement(measured: Measured) -> list[str]:
    if len(measured.results) < 2:
        return []
    matrix = measured.agreement
    least = int(matrix.argmin())
    first, second = divmod(least, len(matrix))
    one, other = measured.results[first], measured.results[second]
    return [
        f"That one picture is the explanation. {title(one.name)} and {title(other.name)} order "
        f"the parts differently (rank correlation {float(matrix[first, second]):.2f}), although "
        "both do what they promise. Choose the question first, then the method."
    ]
