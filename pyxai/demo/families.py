"""The methods in families, by what they do to a model."""

from __future__ import annotations

from dataclasses import dataclass

from pyxai import registry
from pyxai.demo.measure import Measured, Result

__all__ = ["FAMILIES", "Family", "members", "representatives"]


@dataclass(frozen=True)
class Family:
    """Methods that ask a model in the same way.

    Attributes
    ----------
    title : str
        Its name.
    does : str
        What its methods do, in a sentence.
    known_by : str
        The method that stands for it.
    """

    title: str
    does: str
    known_by: str


# By the folder of their methods, from what is quickest to what looks deepest.
FAMILIES = {
    "gradients": Family(
        "Gradients", "One backward pass: what a small change would do.", "input_x_gradient"
    ),
    "paths": Family(
        "Paths",
        "Gradients added up on the way from a baseline to the input.",
        "integrated_gradients",
    ),
    "sampled": Family(
        "Sampled", "Gradients averaged over other rows, or over noise.", "expected_gradients"
    ),
    "ablation": Family(
        "Ablation", "Take a part away and see how far the output falls.", "feature_ablation"
    ),
    "coalitions": Family(
        "Coalitions", "Take many parts away in many combinations.", "shapley_value_sampling"
    ),
    "propagated": Family("Propagated", "Hand the output back, layer by layer, by rules.", "lrp"),
    "layers": Family("Layers", "Ask the feature maps of a layer instead of the input.", "grad_cam"),
    "decomposition": Family(
        "Decomposition",
        "Split every value of the net into what a part does and the rest.",
        "contextual_decomposition",
    ),
}


def members(measured: Measured) -> dict[str, list[Result]]:
    """Return the results of each family that has any, in the order of `FAMILIES`.

    Parameters
    ----------
    measured : Measured
        With its results.

    Returns
    -------
    dict of str to list of Result
        By family; one that is not listed comes last.
    """
    found: dict[str, list[Result]] = {family: [] for family in FAMILIES}
    for result in measured.results:
        found.setdefault(registry.get(result.name).family, []).append(result)
    return {family: results for family, results in found.items() if results}


def representatives(measured: Measured) -> list[Result]:
    """Return one result of each family: the best known one, or else its first.

    Parameters
    ----------
    measured : Measured
        With its results.

    Returns
    -------
    list of Result
    """

    def known(family: str, results: list[Result]) -> Result:
        name = FAMILIES[family].known_by if family in FAMILIES else ""
        return next((each for each in results if each.name == name), results[0])

    return [known(family, results) for family, results in members(measured).items()]
