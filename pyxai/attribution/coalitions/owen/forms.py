"""What users give for a hierarchy: nested lists, linkages, masks from coarse to fine, trees."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_finite, describe
from pyxai._inputs import Players, flat_features, format_feature_mask, restore_form
from pyxai.attribution.coalitions.owen.tree import Tree, grown, layered
from pyxai.game.players import feature_players, present_players

__all__ = ["read_hierarchy"]

# Children of a segment at most; among more of them, halves are put in between.
_MOST = 4
_FORMS = (
    "a nested list of player numbers, a linkage matrix, feature masks from coarse to fine or a "
    "tree of pyxai.decomposition"
)


def read_hierarchy(
    hierarchy: Any, inputs: tuple[Tensor, ...], is_tuple: bool, feature_mask: Any
) -> tuple[Any, tuple[Tree, ...]]:
    """Return the feature mask of the players and their hierarchy, one for all examples or each."""
    several = isinstance(hierarchy, (list, tuple))
    if several and hierarchy and all(_is_mask(scale) for scale in hierarchy):
        return _from_scales(hierarchy, inputs, is_tuple, feature_mask)
    found = tuple(hierarchy) if several else (hierarchy,)
    if found and all(hasattr(tree, "nodes") for tree in found):
        if len(found) not in (1, len(inputs[0])):
            raise ValueError(
                f"hierarchy must have one tree, or one for each of {len(inputs[0])} examples, got "
                f"{len(found)}"
            )
        if feature_mask is None:
            feature_mask = _units(found, inputs)
        players = format_feature_mask(feature_mask, inputs)
        own = _players_of_rows(players, inputs, len(found))
        made = (
            _checked(_from_nodes(tree), players.ids.cpu(), row)
            for tree, row in zip(found, own, strict=True)
        )
        return feature_mask, tuple(made)
    if hierarchy is None:
        return feature_mask, _halves(inputs, feature_mask)
    ids = format_feature_mask(feature_mask, inputs).ids.cpu()
    everyone = torch.ones(len(ids), dtype=torch.bool)
    if isinstance(hierarchy, (Tensor, np.ndarray)):
        tree = _from_linkage(hierarchy, len(ids))
        return feature_mask, (_checked(tree, torch.arange(len(ids)), everyone),)
    if not several:
        raise TypeError(f"hierarchy must be {_FORMS}, got {describe(hierarchy)}")
    return feature_mask, (_checked(_from_nested(hierarchy), ids, everyone),)


def _is_mask(scale: Any) -> bool:
    parts = scale if isinstance(scale, (list, tuple)) and scale else (scale,)
    return all(isinstance(part, (Tensor, np.ndarray)) for part in parts)


def _players_of_rows(players: Players, inputs: tuple[Tensor, ...], n_trees: int) -> Tensor:
    """Return which players the example of each tree has, bool [n_trees, n_players]."""
    if n_trees == 1:
        return torch.ones(1, players.n_players, dtype=torch.bool)
    return present_players(players.maps, players.n_players, inputs).cpu()


def _checked(tree: Tree, ids: Tensor, own: Tensor) -> Tree:
    """Renumber players as the game does; those of ``own`` must be in the tree, each once."""
    place = torch.searchsorted(ids, tree.order).clamp(max=len(ids) - 1)
    strange = tree.order[(ids[place] != tree.order) | ~own[place]]
    if strange.numel():
        raise ValueError(
            f"hierarchy must hold the {int(own.sum())} players, with numbers from "
            f"{int(ids[0])} to {int(ids[-1])}, got {int(strange[0])}"
        )
    counts = torch.bincount(place, minlength=len(ids))
    wrong = (counts != own.long()).nonzero()[:, 0]
    if wrong.numel():
        first = int(wrong[0])
        raise ValueError(
            f"hierarchy must hold every player once, got player {int(ids[first])} "
            f"{int(counts[first])} times"
        )
    return Tree(place, tree.start, tree.stop, tree.parent)


def _from_nested(hierarchy: Any) -> Tree:
    def inside(node: Any) -> int | Sequence[Any]:
        if isinstance(node, Integral) and not isinstance(node, bool):
            return int(node)
        if not isinstance(node, (list, tuple)):
            raise TypeError(
                f"hierarchy must hold player numbers and lists of them, got {describe(node)}"
            )
        if not node:
            raise ValueError("hierarchy must have players in every list, got an empty one")
        return node

    return grown(hierarchy, inside)


def _from_linkage(linkage: Any, n_players: int) -> Tree:
    """Read merges of SciPy's form: row i joins two of the nodes before ``n_players + i``."""
    merges = torch.as_tensor(linkage).detach().cpu().double()
    if merges.dim() != 2 or merges.shape[0] != n_players - 1 or merges.shape[1] not in (2, 3, 4):
        raise ValueError(
            f"hierarchy must have shape [{n_players - 1}, 4] as a linkage of {n_players} players, "
            f"got {list(merges.shape)}"
        )
    check_finite("hierarchy", merges)
    pairs = merges[:, :2].long()
    limits = torch.arange(n_players, 2 * n_players - 1)[:, None]
    if bool(((pairs != merges[:, :2]) | (pairs < 0) | (pairs >= limits)).any()):
        raise ValueError(
            "hierarchy must join players and earlier joins in each row of a linkage, got "
            "other numbers"
        )
    joined = pairs.tolist()
    return grown(
        2 * n_players - 2, lambda node: node if node < n_players else joined[node - n_players]
    )


def _from_nodes(tree: Any) -> Tree:
    """Read a tree whose ``nodes`` have ``children``; those without are players, in their order."""
    below = [tuple(node.children) for node in tree.nodes]
    if any(child >= number for number, children in enumerate(below) for child in children):
        raise ValueError("hierarchy must have children before their parents, got others")
    inner = {child for children in below for child in children}
    roots = tuple(node for node in range(len(below)) if node not in inner)
    return grown(-1, lambda node: roots if node < 0 else below[node] or node)


def _units(trees: tuple[Any, ...], inputs: tuple[Tensor, ...]) -> Any:
    """Return the feature mask that the units of trees make: of words, or of pixels."""
    if len(inputs) != 1 or not all(
        isinstance(getattr(tree, "units", None), Tensor) for tree in trees
    ):
        return None
    shape = inputs[0].shape
    masks = []
    for tree in trees:
        units = tree.units.to(inputs[0].device)
        last = 1 if units.dim() == 1 and len(shape) > 2 else 0  # of words, the embedding
        masks.append(
            units.view(*[1] * (len(shape) - units.dim() - last), *units.shape, *[1] * last)
        )
    return torch.cat(masks)


def _from_scales(
    scales: Sequence[Any], inputs: tuple[Tensor, ...], is_tuple: bool, feature_mask: Any
) -> tuple[Any, tuple[Tree, ...]]:
    """Cut players where any scale has a border, each cell below the one that it is cut from."""
    maps = [
        format_feature_mask(_as_tensors(scale), inputs, name=f"hierarchy[{number}]").maps
        for number, scale in enumerate(scales)
    ]
    if feature_mask is not None:
        maps.append(format_feature_mask(feature_mask, inputs).maps)
    rows = max(len(part) for scale in maps for part in scale if part is not None)
    labels = torch.stack([_labels(scale, inputs, rows) for scale in maps], 1)
    spots = torch.arange(labels.shape[2]).double()[:, None]
    if _is_image(inputs):
        spots = _spots(inputs[0].shape[1:])
    owners, trees = [], []
    for row in labels:  # [n_scales, features]
        cells = [torch.zeros_like(row[0])]
        for scale in row:
            code = cells[-1] * (int(scale.max()) + 1) + scale
            cells.append(torch.unique(code, return_inverse=True)[1])
        owners.append(cells[-1])
        trees.append(_nested_cells(cells, spots))
    whole = torch.stack(owners).to(inputs[0].device)
    sizes = [value[0].numel() for value in inputs]
    parts = tuple(
        part.view(rows, *value.shape[1:])
        for part, value in zip(torch.split(whole, sizes, 1), inputs, strict=True)
    )
    return restore_form(parts, is_tuple), tuple(trees)


def _as_tensors(scale: Any) -> Any:
    if isinstance(scale, (list, tuple)):
        return tuple(torch.as_tensor(part) for part in scale)
    return torch.as_tensor(scale)


def _labels(maps: Any, inputs: tuple[Tensor, ...], rows: int) -> Tensor:
    """Return the player of every feature over all inputs, int64 [rows, features] on the CPU."""
    flat = [
        flat_features(feature_players(value, owners)).expand(rows, -1)
        for value, owners in zip(inputs, maps, strict=True)
    ]
    return torch.cat(flat, 1).cpu()


def _nested_cells(cells: list[Tensor], spots: Tensor) -> Tree:
    """Make the tree of cells within cells; each is int64 [features], numbered from 0."""
    n_players = int(cells[-1].max()) + 1
    levels = []
    for outer, inner in itertools.pairwise(cells):
        count = int(inner.max()) + 1
        holder = outer.new_zeros(count).index_copy(0, inner, outer)
        of_players = inner.new_zeros(n_players).index_copy(0, cells[-1], inner)
        halves = _halvings(_centres(inner, spots, count), holder, _MOST)
        levels += [level[of_players] for level in (*halves, torch.arange(count))]
    return layered(levels, n_players)


def _is_image(inputs: tuple[Tensor, ...]) -> bool:
    return len(inputs) == 1 and inputs[0].dim() == 4


def _halves(inputs: tuple[Tensor, ...], feature_mask: Any) -> tuple[Tree, ...]:
    """Halve images along the longer side of what is left, down to single players."""
    if not _is_image(inputs):
        shapes = " and ".join(str(list(value.shape)) for value in inputs)
        raise ValueError(
            f"inputs must be images of shape [batch, channels, height, width], got {shapes}, where "
            f"no hierarchy is given; it may be {_FORMS}"
        )
    if feature_mask is None:
        return (_pixels(tuple(inputs[0].shape[1:])),)
    players = format_feature_mask(feature_mask, inputs)
    owners, count = players.maps[0], players.n_players
    assert owners is not None
    spots = _spots(inputs[0].shape[1:])
    together = torch.zeros(count, dtype=torch.int64)
    centres = (_centres(row, spots, count) for row in flat_features(owners).long().cpu())
    return tuple(layered(_halvings(each, together, 1), count) for each in centres)


@functools.lru_cache(maxsize=8)
def _pixels(shape: tuple[int, ...]) -> Tree:
    """Halve an image of this shape [channels, height, width], every value a player."""
    spots = _spots(shape)
    return layered(_halvings(spots, torch.zeros(len(spots), dtype=torch.int64), 1), len(spots))


def _spots(shape: Sequence[int]) -> Tensor:
    """Return line, column and channel of the values of an image, float64 [features, 3]."""
    channel, line, column = (torch.arange(size).double() for size in shape)
    # The channels of a pixel are parted last.
    grid = torch.meshgrid(channel / (4 * len(channel)), line, column, indexing="ij")
    return torch.stack([part.flatten() for part in (grid[1], grid[2], grid[0])], 1)


def _centres(owners: Tensor, spots: Tensor, count: int) -> Tensor:
    """Return the mean spot of each owner's features, [count, n]; of one without any, 0."""
    sums = spots.new_zeros(count, spots.shape[1]).index_add(0, owners, spots)
    return sums / torch.bincount(owners, minlength=count).clamp(min=1)[:, None]


def _halvings(places: Tensor, groups: Tensor, most: int) -> list[Tensor]:
    """Halve groups across their longest side until none has more than ``most`` members.

    Parameters
    ----------
    places : Tensor, shape [n, n_axes]
        Where the members are.
    groups : Tensor, shape [n]
        int64 number of each member's group.
    most : int
        Members of a group at most.

    Returns
    -------
    list of Tensor, shape [n]
        The groups after each halving.
    """
    levels: list[Tensor] = []
    while True:
        _, groups, counts = torch.unique(groups, return_inverse=True, return_counts=True)
        if bool((counts <= most).all()):
            return levels
        index = groups[:, None].expand_as(places)
        ends = places.new_zeros(counts.numel(), places.shape[1])
        low = ends.scatter_reduce(0, index, places, "amin", include_self=False)
        high = ends.scatter_reduce(0, index, places, "amax", include_self=False)
        axis = (high - low).argmax(1, keepdim=True)
        middle = ((low + high) / 2).gather(1, axis)[groups, 0]
        upper = places.gather(1, axis[groups])[:, 0] > middle
        above = torch.bincount(groups[upper], minlength=counts.numel())
        # Members at one spot are halved by their order.
        order = groups.argsort(stable=True)
        rank = torch.empty_like(groups)
        rank[order] = torch.arange(len(groups)) - (counts.cumsum(0) - counts)[groups[order]]
        lumped = ((above == 0) | (above == counts))[groups]
        upper = torch.where(lumped, rank >= counts[groups] // 2, upper)
        groups = 2 * groups + (upper & (counts > most)[groups])
        levels.append(groups)
