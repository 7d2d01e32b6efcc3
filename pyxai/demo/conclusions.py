"""What the numbers of the two main models allow a reader to say, and what not, in plain language.

Every sentence is computed: another seed, another method or a worse model gives other sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import registry
from pyxai.demo.measure import Measured, Result
from pyxai.demo.words import listed, percent, title
from pyxai.report import format_number

__all__ = ["asked_otherwise", "for_digits", "for_removal", "for_table", "gap_share", "not_shown"]


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
    can = _completeness(measured)
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
    parts = torch.stack([result.flat.abs().mean(0) for result in measured.results])
    shares = parts / parts.sum(1, keepdim=True).clamp(min=1e-12)
    lead = int(shares.median(0).values.argmax())
    first_by = int((shares.argmax(1) == lead).sum())
    correlation = torch.corrcoef(measured.task.inputs.T)
    correlation.fill_diagonal_(0)
    pair = int(correlation.abs().argmax())
    first, second = divmod(pair, correlation.shape[1])
    can = [
        f"Which measurement this model leans on: “{names[lead]}” has the largest share of the "
        f"attribution in the middle of the methods, and comes first for {first_by} of "
        f"{len(shares)}.",
        *_completeness(measured),
    ]
    cannot = [
        "That these measurements cause anything, or that a doctor should weigh them so. The bars "
        "describe one small model.",
        f"How much a single one of several related measurements matters: where two go together, as "
        f"“{names[first]}” and “{names[second]}” do most (correlation "
        f"{float(correlation[first, second]):.3f}), another training may use the other.",
        *_disagreement(measured),
    ]
    return can, cannot


def not_shown(digits: Measured, table: Measured) -> list[str]:
    """Return the methods of the package that explain neither model.

    Parameters
    ----------
    digits, table : Measured
        Both tasks.

    Returns
    -------
    list of str
        Their titles.
    """
    shown = {result.name for measured in (digits, table) for result in measured.results}
    return [title(name) for name in registry.names() if name not in shown]


def asked_otherwise(measured: Measured) -> list[str]:
    """Return the methods for which the removal test is not the question that they answer.

    Parameters
    ----------
    measured : Measured
        With its results.

    Returns
    -------
    list of str
        Their titles.
    """
    return [title(result.name) for result in measured.results if not result.single]


def for_removal(measured: Measured, parts: str) -> tuple[list[str], list[str]]:
    """Say what the removal test allows.

    Parameters
    ----------
    measured : Measured
        With the removal test.
    parts : str
        What was removed, such as ``"pixels"``.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    cannot = [
        f"That a method is wrong where the output falls less. Removing {parts} makes inputs that "
        "the model was never trained on, and each method answers its own question."
    ]
    return _removal(measured, parts), cannot


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
            ": the values sum to the difference from the baseline's logit, or from its mean over a "
            f"set of baselines, off by {percent(worst)} at most on average."
        )
    broken = [result for result in promised if result not in kept]
    if broken:
        gaps = listed([f"{title(r.name)} ({percent(gap_share(measured, r))})" for r in broken])
        said.append(
            f"That the values of {gaps} add up only roughly: read their order, not their sum."
        )
    return said


def _removal(measured: Measured, parts: str) -> list[str]:
    ranked = [result for result in _ranked(measured) if result.single]
    if not ranked:
        return []
    first, count = ranked[0], measured.random_drops.shape[1] - 1
    best = [result for result in ranked if not _beats(first.drops, result.drops)]
    fall, chance = float(first.drops[:, -1].mean()), float(measured.random_drops[:, -1].mean())
    equal = "" if len(best) == 1 else ", of which none is clearly worse than the first"
    said = [
        f"Which ranking finds what the model uses: that of {listed([title(r.name) for r in best])}"
        f"{equal}. Without the {count} {parts} that {title(first.name)} ranks first the logit "
        f"falls by {format_number(fall)} on average, without {count} random ones by "
        f"{format_number(chance)}."
    ]
    weak = [result for result in ranked if not _beats(result.drops, measured.plain_drops)]
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
        f"That one picture is the explanation. {title(one.name)} "
        f"({registry.get(one.name).summary}) and {title(other.name)} "
        f"({registry.get(other.name).summary}) agree least, with a rank correlation of "
        f"{float(matrix[first, second]):.2f}: choose the question first, then the method."
    ]
