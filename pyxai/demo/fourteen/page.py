"""The report's section on the fourteen methods, and what its numbers allow a reader to say."""

from __future__ import annotations

from pyxai.demo.fourteen import figures
from pyxai.demo.fourteen.comparison import Fourteen
from pyxai.demo.fourteen.methods import TOLERANCE
from pyxai.demo.words import listed, percent
from pyxai.report import Report, Section, format_number

__all__ = ["conclusions", "section"]


def section(report: Report, digit: Fourteen, tumour: Fourteen) -> None:
    """Append the section.

    Parameters
    ----------
    report : Report
    digit, tumour : Fourteen
        One digit and one table row.
    """
    part = report.section("Fourteen methods, one system")
    part.text(
        "Cut an input into a few parts and split the output into effects: what each part does "
        "alone, what two do together beyond that, and so on. The effects add up to the difference "
        "from the baseline's output. Each of these fourteen methods hands out the same effects; "
        "they differ in who gets how much. That can be measured, by running a method on every "
        "sub-input.",
        "Three marks stand beside a method, in this order. First, low approximation error: what it "
        "explains is the output, no surrogate of it. Second, no unrelated allocation: an effect "
        "goes to its own parts only. Third, complete allocation: they get all of it. A mark is "
        f"given where less than {percent(TOLERANCE)} of all effects is missed.",
    )
    part.figure(
        lambda: figures.maps(digit, 5),
        narrow=lambda: figures.maps(digit, 3),
        alt="Values of eight patches of a digit by fourteen methods, with their marks",
        caption=f"Which patches speak for a {digit.task.class_names[digit.target]}. All maps share "
        "one scale; the darkest may lie beyond it.",
    )
    part.conclusions(*conclusions(digit, tumour))
    _effects_and_weights(
        part.fold("The digit's effects, who gets the strongest of two, and all measures"), digit
    )
    fold = part.fold("The same for a tumour in six properties")
    fold.figure(
        lambda: figures.values(tumour),
        alt="Values of six properties of a tumour by fourteen methods, with their marks",
        caption=f"In logits of {tumour.task.class_names[tumour.target]}. Size, for one, is radius, "
        "perimeter and area, each as mean, error and worst.",
        least_width=560,
    )
    _effects_and_weights(fold, tumour)


def _effects_and_weights(section: Section, found: Fourteen) -> None:
    pair = found.strongest_pair
    one, other = (found.names[player] for player in pair)
    effect = float(found.effects.effect(pair)[0])
    section.figure(
        lambda: figures.effects(found),
        alt="Effects of single parts, of pairs, and the strongest of all",
        caption=f"The effects, in logits. Here {percent(_alone(found))} of their absolute sum "
        "belongs to single parts, the rest to two or more together.",
        least_width=480,
    )
    section.figure(
        lambda: figures.weights(found, pair),
        alt="Share of one joint effect that each method gives to each part",
        caption=f"Who gets the joint effect of {one} and {other} (*), {format_number(effect)} "
        "logits, in percent of it.",
        least_width=560,
    )
    section.figure(
        lambda: figures.principles(found),
        alt="Measures of the three principles by method",
        caption="The measures behind the marks, as shares of all effects: green is kept. E1: "
        "effects that nobody gets. U: given to parts outside the effect. C: not given to its own "
        "parts in full, or more than once. The columns of neurons look inside a layer, for the "
        "methods that work layer by layer.",
        least_width=620,
    )


def conclusions(digit: Fourteen, tumour: Fourteen) -> tuple[list[str], list[str]]:
    """Say what the fourteen methods on two examples allow.

    Parameters
    ----------
    digit, tumour : Fourteen

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    both = [name for name in digit.fair if name in tumour.fair]
    none = "No method keeps all three principles on both examples."
    can = [
        f"Which methods hand out every effect to its own parts, in full: {listed(both)}, on both "
        "examples. Their values can be read as shares of the output."
        if both
        else none,
        f"That single numbers do not tell all. {percent(1 - _alone(digit))} of the digit's effects "
        f"and {percent(1 - _alone(tumour))} of the tumour's belong to several parts together; "
        "every method has to split these up, and the matrix of pairs shows what it was.",
    ]
    row = digit.names_of_methods.index("Occlusion-1")
    total = float(digit.values[row].sum())
    change = float((digit.effects.value - digit.effects.baseline_value)[0])
    can.append(
        "That occlusion answers another question. Whatever k parts do together it counts k times: "
        f"its values for the digit sum to {format_number(total)}, the output differs by "
        f"{format_number(change)}. It says what is lost without a part, not what the part's share "
        "is."
    )
    return can, [*_range_of_fair(digit), *_outside(digit), _limits(digit)]


def _alone(found: Fourteen) -> float:
    """Return the share of single parts in the absolute sum of the effects."""
    strength = found.effects.strength_by_size()[0]
    return float(strength[1] / strength[1:].sum())


def _range_of_fair(found: Fourteen) -> list[str]:
    if len(found.fair) < 2:
        return []
    pair = found.strongest_pair
    rows = [found.names_of_methods.index(name) for name in found.fair]
    shares = found.weights(pair)[rows, pair[0]]
    one, other = (found.names[player] for player in pair)
    return [
        f"That fair methods agree. Of the joint effect of “{one}” and “{other}” those with "
        f"all marks give the first between {percent(float(shares.min()))} and "
        f"{percent(float(shares.max()))}. The principles ask that the two get all of it, not how "
        "they share."
    ]


def _outside(found: Fourteen) -> list[str]:
    measured = found.table["Grad-CAM"].allocation
    if measured is None or float(measured.u[0]) < TOLERANCE:
        return []
    return [
        f"That a patch marked by Grad-CAM did it. {percent(float(measured.u[0]))} of what it "
        "hands out goes to patches outside the effect: its maps are as coarse as what a unit of "
        "the layer sees, and the second mark holds for channels, not for places."
    ]


def _limits(found: Fourteen) -> str:
    return (
        "That the marks hold elsewhere. They are measurements on two inputs and one baseline, "
        f"“{found.task.baseline_words}” for the digit. With a single baseline prediction "
        "difference is occlusion, expected gradients are integrated gradients, and Deep SHAP with "
        "the Rescale rule, as libraries have it and as on the digit, is DeepLIFT; so these show "
        "the same. On the tumour Deep SHAP takes the Shapley values of neurons."
    )
