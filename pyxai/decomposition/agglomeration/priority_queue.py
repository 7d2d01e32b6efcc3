"""Agglomeration as the paper has it: the best of a queue of groups join the hierarchy."""

from __future__ import annotations

import numpy as np

from pyxai.decomposition.agglomeration.growth import Growth, Rules, gain_over
from pyxai.decomposition.agglomeration.scores import GroupScores
from pyxai.decomposition.agglomeration.units import around, units_in

__all__ = ["grow_by_queue"]

Entry = tuple[float, tuple[int, ...]]  # priority, and the groups that it would make one


def grow_by_queue(scores: GroupScores, rules: Rules) -> Growth:
    """Take the best groups out of a queue, and put what they can grow by into it.

    The queue holds the units that are in no group, by their scores, and each group joined with a
    neighbour, by what it adds: a unit, or the group that the neighbour is in. Those at or above
    the percentile leave it together, and what they have in common becomes one group.

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
    growth = Growth()
    groups: list[int] = []
    selected = 0
    scores.singles()
    for _ in range(rules.n_iter):
        if text and selected == rules.units.everything:
            break
        queue = _queue(groups, selected, scores, rules)
        if not queue:
            break
        sizes = [size for size, _ in queue]
        least = float(np.percentile(sizes, rules.percentile)) - scores.tolerance
        tracked = _best_of_each(queue, selected, rules)
        groups = _joined(groups, [parts for size, parts in queue if size >= least])
        selected = sum(groups)
        growth.note_selection(tracked, selected)
        growth.note_components(dict(enumerate(groups, 1)), selected)
    return growth


def _queue(groups: list[int], selected: int, scores: GroupScores, rules: Rules) -> list[Entry]:
    """Return all that could join the hierarchy; what is not known yet is scored in one call."""
    units = rules.units
    free = [1 << unit for unit in units_in(units.everything & ~selected)]
    pairs: list[tuple[int, int]] = []
    for place, group in enumerate(groups):
        border = around(group, rules.near)
        pairs += [(group, 1 << unit) for unit in units_in(border & ~selected)]
        pairs += [(group, other) for other in groups[place + 1 :] if border & other]
    scores.need([*groups, *(first | second for first, second in pairs)])
    queue: list[Entry] = [(rules.size(scores[unit]), (unit,)) for unit in free]
    for group, other in pairs:
        grown_from = (group, other) if other & selected else (group,)
        queue.append((gain_over(scores, group | other, grown_from, rules), (group, other)))
    return queue


def _joined(groups: list[int], popped: list[tuple[int, ...]]) -> list[int]:
    """Return the groups after some have been joined, in the order of their first units."""
    for parts in popped:
        union = sum(parts)
        apart = [group for group in groups if not group & union]
        for group in groups:
            if group & union:
                union |= group
        groups = [*apart, union]
    return sorted(groups, key=lambda group: group & -group)


def _best_of_each(
    queue: list[Entry], selected: int, rules: Rules
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the best that each unit in no group could join by, NaN for the others."""
    best = np.full(rules.units.count, np.nan)
    for size, parts in queue:
        if not parts[-1] & selected:
            unit = parts[-1].bit_length() - 1
            best[unit] = np.fmax(best[unit], size)
    return best
