"""What an agglomeration did, step by step; and the choices that it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pyxai.decomposition.agglomeration.scores import FloatArray, GroupScores
from pyxai.decomposition.agglomeration.units import Units, around, chosen_in

__all__ = ["Growth", "Rules", "gain_over", "merge_rest"]


@dataclass(frozen=True)
class Rules:
    """The choices of an agglomeration, all made.

    Attributes
    ----------
    units : Units
        What is joined.
    percentile : float
        What lies at or above it is selected.
    n_iter : int
        Most iterations before what is left is merged.
    absolute : bool
        Whether large negative scores and gains count as large.
    near : tuple of int
        Neighbours of each unit, which it can grow by.
    final : {"any", "adjacent", "none"}
        Which pairs are merged in the end.
    signed : bool
        Whether they are merged by signed scores whatever ``absolute`` says, and a difference of
        rounding orders two that are equal otherwise.
    """

    units: Units
    percentile: float
    n_iter: int
    absolute: bool
    near: Sequence[int]
    final: str
    signed: bool = False

    def size(self, value: float) -> float:
        """Return what a score or a gain counts."""
        return abs(value) if self.absolute else value


@dataclass
class Growth:
    """What was selected when.

    Attributes
    ----------
    tracked : list of ndarray, shape [n_units]
        float64 score of each unit in each selection, NaN where it was selected before.
    selected : list of ndarray, shape [n_units]
        bool, what is selected after it.
    components : list of dict of int to int
        Groups by their label, after each iteration and then after each merge.
    unions : list of int
        All that was in a group at each of them.
    n_grown : int
        How many of them came before the merges.
    """

    tracked: list[FloatArray] = field(default_factory=list)
    selected: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = field(default_factory=list)
    components: list[dict[int, int]] = field(default_factory=list)
    unions: list[int] = field(default_factory=list)
    n_grown: int = 0

    def note_selection(self, tracked: FloatArray, selected: int) -> None:
        """Add what was selected, and the scores by which."""
        self.tracked.append(tracked.copy())
        self.selected.append(chosen_in(selected, len(tracked)))

    def note_components(self, components: dict[int, int], union: int) -> None:
        """Add the groups of an iteration."""
        self.components.append(components)
        self.unions.append(union)
        self.n_grown += 1


def merge_rest(growth: Growth, scores: GroupScores, rules: Rules) -> None:
    """Merge groups pair by pair, the best first, until one is left or no pair may be merged.

    The best adds most to the better of both, ``score(S and U) - max(score(S), score(U))``. Only
    pairs with the last merged group are new in a round, all of them are scored in one call.
    """
    if rules.final == "none" or not growth.components:
        return
    groups = growth.components[-1]
    union = growth.unions[-1]
    while pairs := _pairs(groups, rules):
        scores.need([*groups.values(), *(groups[a] | groups[b] for a, b in pairs)])
        gains = [_gain(scores, groups[a], groups[b], rules) for a, b in pairs]
        a, b = pairs[_first_of_best(gains, 0.0 if rules.signed else scores.tolerance)]
        groups = {label: group for label, group in groups.items() if label != b}
        groups[a] |= growth.components[-1][b]
        growth.components.append(groups)
        growth.unions.append(union)


def _pairs(groups: dict[int, int], rules: Rules) -> list[tuple[int, int]]:
    labels = sorted(groups)
    pairs = [(a, b) for place, a in enumerate(labels) for b in labels[place + 1 :]]
    if rules.final == "any":
        return pairs
    border = {label: around(groups[label], rules.near) for label in labels}
    return [(a, b) for a, b in pairs if border[a] & groups[b]]


def _gain(scores: GroupScores, first: int, second: int, rules: Rules) -> float:
    if rules.signed:
        return scores[first | second] - max(scores[first], scores[second])
    return gain_over(scores, first | second, (first, second), rules)


def gain_over(scores: GroupScores, group: int, parts: Sequence[int], rules: Rules) -> float:
    """Return what a group scores beyond each of some parts; the least that counts."""
    return min(rules.size(scores[group] - scores[part]) for part in parts)


def _first_of_best(values: Sequence[float], tolerance: float) -> int:
    """Return the place of the largest value, of several within the tolerance the first."""
    best = max(values)
    return next(place for place, value in enumerate(values) if value >= best - tolerance)
