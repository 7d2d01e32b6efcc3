"""A hierarchy as the lists and dictionaries of the authors' code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyxai.decomposition.agglomeration.units import IntArray

if TYPE_CHECKING:
    from pyxai.decomposition.agglomeration.hierarchy import Hierarchy

__all__ = ["image_lists", "text_lists"]


def text_lists(tree: Hierarchy, collapse: bool) -> dict[str, Any]:
    """Return the lists of a sentence, see `Hierarchy.to_official_text`."""
    _check_layout(tree, "text")
    comps = [np.zeros(tree.n_units, np.int64), *(_labels(tree, step) for step in tree.steps)]
    scores: list[dict[int, float]] = [{0: tree.whole_score}]
    scores += [{k: tree.nodes[node].score for k, node in step.items()} for step in tree.steps]
    if collapse:
        comps, scores = _collapsed(comps, scores)
    return {
        "scores_list": list(tree.tracked.numpy()),
        "mask_list": list(tree.selected.numpy()),
        "comps_list": comps,
        "comp_scores_list": scores,
        "score_orig": tree.whole_score,
    }


def image_lists(tree: Hierarchy) -> dict[str, Any]:
    """Return the lists of an image, see `Hierarchy.to_official_image`."""
    _check_layout(tree, "image")
    assert tree.unions is not None  # of images they are always known
    shape = _grid(tree.units.numpy())
    merges = len(tree.steps) - tree.n_grown
    scores = [row.reshape(shape) for row in tree.tracked.numpy()]
    masks = [row.reshape(shape) for row in tree.selected.numpy()]
    vectors = tree.scores.numpy()
    found: list[dict[int, Any]] = [{0: tree.whole.numpy()}]
    found += [{label: vectors[node] for label, node in step.items()} for step in tree.steps]
    return {
        "scores_list": scores + scores[-1:] * merges,
        "im_thresh_list": masks + masks[-1:] * merges,
        "comps_list": [
            np.zeros(tuple(tree.units.shape)),
            *(_labels(tree, step).reshape(shape) for step in tree.steps),
        ],
        "comp_scores_raw_list": found,
        "comp_scores_raw_combined_list": list(tree.unions.numpy()),
        "scores_orig_raw": vectors[: tree.n_units],
        "num_before_final": len(masks),
    }


def _check_layout(tree: Hierarchy, layout: str) -> None:
    if tree.layout != layout:
        raise ValueError(f"layout must be {layout!r} for these lists, got {tree.layout!r}")


def _labels(tree: Hierarchy, step: dict[int, int]) -> IntArray:
    """Return the label of each unit's group, 0 for none."""
    labels = np.zeros(tree.n_units, np.int64)
    for label, node in step.items():
        labels[list(tree.nodes[node].members)] = label
    return labels


def _grid(of: IntArray) -> tuple[int, ...]:
    """Return lines and columns of units that are the cells of a grid, else their number."""
    down, across = np.unique(of[:, 0]), np.unique(of[0])
    lines, columns = np.searchsorted(down, of[:, 0]), np.searchsorted(across, of[0])
    if np.array_equal(of, lines[:, None] * across.size + columns):
        return down.size, across.size
    return (int(of.max()) + 1,)


def _collapsed(
    comps: list[IntArray], scores: list[dict[int, float]]
) -> tuple[list[IntArray], list[dict[int, float]]]:
    """Arrange groups by levels: words, then what is joined of groups one level below.

    A group keeps the level of what it was made of if that was one thing, where all words that are
    in no group are one, of level 0; otherwise it is one above the highest.
    """
    by_level: list[IntArray] = [np.arange(comps[0].size), *(np.zeros_like(c) for c in comps[1:])]
    found: list[dict[int, float]] = [{0: 0.0} for _ in comps]
    below = {0: 0}
    for step in range(1, len(comps)):
        levels = {0: 0}
        for label in sorted(scores[step]):
            members = comps[step] == label
            if members.sum() == 1:
                levels[label] = 0
                continue
            parts = np.unique(comps[step - 1][members])
            highest = max(below[int(part)] for part in parts)
            level = highest if parts.size == 1 else highest + 1
            levels[label] = level
            number = int(by_level[level].max()) + 1
            by_level[level][members] = number
            found[level][number] = scores[step][label]
        below = levels
    used = next((n for n, level in enumerate(by_level) if not level.any()), len(by_level))
    return by_level[:used], found[:used]
