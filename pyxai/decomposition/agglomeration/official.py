"""Agglomeration as the authors' code does it: on a mask of selected units."""

from __future__ import annotations

import numpy as np

from pyxai.decomposition.agglomeration.growth import Growth, Rules
from pyxai.decomposition.agglomeration.scores import FloatArray, GroupScores
from pyxai.decomposition.agglomeration.units import around, group_of, pieces, units_in

__all__ = ["grow_officially"]

# With so many words left, the percentile that selects about two at a time.
_FEW_WORDS = {5: 59.0, 4: 49.0, 3: 59.0, 2: 49.0, 1: 0.0}
_LABELS = 11  # so many numbers of groups are followed from step to step


def grow_officially(scores: GroupScores, rules: Rules) -> Growth:
    """Select units by percentile, and let connected ones be groups, as the authors' code does.

    Parameters
    ----------
    scores : GroupScores
        Of the example.
    rules : Rules
        The choices.

    Returns
    -------
    Growth
        Without the merges of the end.
    """
    text = rules.units.layout == "text"
    tracked, growth = scores.singles(), Growth()
    selected = _threshold(tracked, rules)
    growth.note_selection(tracked, selected)
    for _ in range(rules.n_iter):
        if not text and selected == rules.units.everything:
            break
        components = dict(enumerate(pieces(selected, rules.units.corners), 1))
        if not text and growth.components:
            components = _followed(growth.components[-1], components)
        _track(tracked, components, scores, rules)
        for unit in units_in(selected):
            tracked[unit] = np.nan
        growth.note_components(components, selected)
        more = _threshold(tracked, rules)
        selected |= more
        if not text:
            selected |= _surrounded(selected, rules)
        growth.note_selection(tracked, selected)
        if not more:
            break
    return growth


def _track(
    tracked: FloatArray, components: dict[int, int], scores: GroupScores, rules: Rules
) -> None:
    """Note what each neighbour adds to a group; of several groups the last counts."""
    selected = sum(components.values())
    free = {
        label: units_in(around(group, rules.near) & ~selected)
        for label, group in components.items()
    }
    grown = [components[label] | 1 << unit for label, units in free.items() for unit in units]
    scores.need([*components.values(), *grown])
    for label in sorted(components):
        group = components[label]
        for unit in free[label]:
            tracked[unit] = scores[group | 1 << unit] - scores[group]


def _threshold(tracked: FloatArray, rules: Rules) -> int:
    """Return the group of units at or above the percentile of those that are left."""
    left = int(np.count_nonzero(~np.isnan(tracked)))
    if not left:
        return 0
    percentile = rules.percentile
    if rules.units.layout == "text":
        percentile = _FEW_WORDS.get(left, percentile)
    elif tracked.size - left > tracked.size / 3:
        percentile = max(percentile - 15, 0.0)
    sizes = np.abs(tracked) if rules.absolute else tracked
    return group_of(sizes >= np.nanpercentile(sizes, percentile))


def _surrounded(selected: int, rules: Rules) -> int:
    """Return the units of which 3 of 4 neighbours are selected; of more, three quarters."""
    found = 0
    for unit in units_in(around(selected, rules.units.sides)):
        near = rules.units.sides[unit]
        if (near & selected).bit_count() >= max(3, 0.75 * near.bit_count()):
            found |= 1 << unit
    return found


def _followed(before: dict[int, int], now: dict[int, int]) -> dict[int, int]:
    """Give groups the labels that their parts had.

    A merged one takes the smallest of its parts; those without parts the smallest that are free,
    the last first. There are labels up to 11 only: where they do not suffice, groups are numbered
    anew in the order of their first units, as the authors' code does by the exception that it
    swallows.
    """
    parts = {
        label: [old for old, group in before.items() if group & piece]
        for label, piece in now.items()
    }
    kept = {label: min(old) for label, old in parts.items() if old}
    fresh = [label for label, old in parts.items() if not old]
    free = sorted(set(range(1, _LABELS + 1)) - set(kept.values()))
    if max(kept.values(), default=0) > _LABELS or len(fresh) > len(free):
        return now
    labels = {**kept, **dict(zip(reversed(fresh), free, strict=False))}
    return {labels[label]: piece for label, piece in now.items()}
