"""A hierarchy of players: every node is a run of places in one order of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["Tree", "grown", "layered"]


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes from the root, number 0, parents before children; the leaves are players.

    No node has a single child. All int64, on the CPU.
    """

    order: Tensor  # [n_players], the player at each place
    start: Tensor  # [n_nodes], where a node's places start
    stop: Tensor  # [n_nodes], and end
    parent: Tensor  # [n_nodes]; of the root 0

    @cached_property
    def n_children(self) -> Tensor:
        """How many children each node has, int64 [n_nodes]."""
        return torch.bincount(self.parent[1:], minlength=self.start.numel())

    @cached_property
    def children(self) -> Tensor:
        """The nodes but the root, parent after parent, int64 [n_nodes - 1]."""
        return self.parent[1:].argsort(stable=True) + 1

    @cached_property
    def evaluations(self) -> float:
        """Coalitions asked for by exact values, with the empty and the full one.

        A node of k children takes 2^k - 2 in each of the contexts that its ancestors' children
        make; infinite where that is beyond all bounds.
        """
        widths = self.n_children.double()
        first = self.n_children.cumsum(0) - self.n_children
        level = torch.zeros(1, dtype=torch.int64)
        contexts = torch.ones(1, dtype=torch.float64)
        total = 2.0
        while level.numel():
            inner = self.n_children[level] > 0
            level, contexts = level[inner], contexts[inner]
            counts = self.n_children[level]
            total += float((contexts * (2.0 ** widths[level] - 2)).sum())
            inherited = (contexts * 2.0 ** (widths[level] - 1)).repeat_interleave(counts)
            within = torch.arange(len(inherited)) - (counts.cumsum(0) - counts).repeat_interleave(
                counts
            )
            level = self.children[first[level].repeat_interleave(counts) + within]
            contexts = inherited
        return total

    def among(self, players: Tensor) -> Tree:
        """Return the hierarchy of some of the players, int64 ascending, numbered anew."""
        kept = torch.isin(self.order, players)
        before = torch.nn.functional.pad(kept.long().cumsum(0), (1, 0))
        start, stop = before[self.start], before[self.stop]
        same = (start == start[self.parent]) & (stop == stop[self.parent])
        # A node that holds what its parent holds is that parent, or what the parent is.
        stands = torch.where(same, self.parent, torch.arange(start.numel()))
        while not torch.equal(stands, stands[stands]):
            stands = stands[stands]
        nodes = ((stands == torch.arange(start.numel())) & (start < stop)).nonzero()[:, 0]
        number = torch.zeros_like(start)
        number[nodes] = torch.arange(nodes.numel())
        return Tree(
            torch.searchsorted(players, self.order[kept]),
            start[nodes],
            stop[nodes],
            number[stands[self.parent[nodes]]],
        )


def grown(root: Any, inside: Callable[[Any], int | Sequence[Any]]) -> Tree:
    """Make the hierarchy below ``root``; ``inside`` gives a node's children, or a leaf's player."""
    order: list[int] = []
    start: list[int] = []
    stop: list[int] = []
    parent: list[int] = []
    pending: list[tuple[Any, int]] = [(root, 0)]
    while pending:
        node, above = pending.pop()
        if above < 0:  # all that is below it has been seen
            stop[node] = len(order)
            continue
        found = inside(node)
        while not isinstance(found, int) and len(found) == 1:
            found = inside(found[0])
        number = len(start)
        start.append(len(order))
        stop.append(0)
        parent.append(above)
        pending.append((number, -1))
        if isinstance(found, int):
            order.append(found)
        else:
            pending += [(child, number) for child in reversed(found)]
    return Tree(*(torch.tensor(part, dtype=torch.int64) for part in (order, start, stop, parent)))


def layered(levels: Sequence[Tensor], n_players: int) -> Tree:
    """Make the hierarchy of groups that are divided again and again.

    ``levels`` are int64 [n_players] each: players of one node have the same numbers up to its
    level. The last level, every player for itself, needs not be given.
    """
    order = torch.arange(n_players)
    for labels in reversed(levels):
        order = order[labels[order].argsort(stable=True)]
    start, stop, parent = (torch.tensor([part]) for part in (0, n_players, 0))
    owner = torch.zeros(n_players, dtype=torch.int64)  # the smallest node so far at each place
    divided = torch.zeros(n_players, dtype=torch.bool)
    divided[0] = True
    for labels in (*levels, torch.arange(n_players)):
        placed = labels[order]
        divided[1:] |= placed[1:] != placed[:-1]
        begin = divided.nonzero()[:, 0]
        end = torch.cat([begin[1:], torch.tensor([n_players])])
        number = owner[begin]
        fresh = (start[number] != begin) | (stop[number] != end)
        parent = torch.cat([parent, number[fresh]])
        number[fresh] = torch.arange(int(fresh.sum())) + start.numel()
        start, stop = torch.cat([start, begin[fresh]]), torch.cat([stop, end[fresh]])
        owner = number.repeat_interleave(end - begin)
    return Tree(order, start, stop, parent)
