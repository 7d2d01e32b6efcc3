"""Share what a node of the hierarchy is worth among its children, from the root down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._inputs import add_at
from pyxai.attribution.coalitions.owen.tree import Tree
from pyxai.ops import pack_masks, unpack_masks

__all__ = ["Ask", "Division"]

# Entries of masks that are unpacked at once.
_ENTRIES = 2**23
# A round asks for an eighth of what was asked before, and for so many coalitions at least: fewer
# rounds divide shares whose parts would have come later, more of them gain little.
_FIRST = 16

# Coalitions, int32 [n_masks, n_words] for all examples or [batch, n_masks, n_words]
# -> values, float64 [batch, n_masks, ...]
Ask = Callable[[Tensor], Tensor]


class _Shares(NamedTuple):
    """Nodes in a context, each with a share of a value that is still to be divided.

    What the node adds to the context, ``values[high] - values[low]``, times ``weight``.
    """

    row: Tensor  # int64 [n], which example, or 0 where all are divided alike
    node: Tensor  # int64 [n]
    low: Tensor  # int64 [n], place of the context among the coalitions asked for
    high: Tensor  # int64 [n], of the context with the node
    weight: Tensor  # float64 [n]

    def take(self, index: Tensor) -> _Shares:
        return _Shares(*(part[index] for part in self))


class Division:
    """Owen values of some examples.

    If one hierarchy serves them all and is divided to the end, they share their coalitions and
    are one row with a value for each example; otherwise each example is a row.

    Parameters
    ----------
    trees : sequence of Tree
        One, or one for each example, over the same number of places.
    corners : Tensor, shape [batch, 2, ...]
        float64 values of the empty and the full coalition.
    max_evals : int
        Evaluations per example at most.
    """

    def __init__(self, trees: Sequence[Tree], corners: Tensor, max_evals: int) -> None:
        self._max_evals = max_evals
        self._whole = all(tree.evaluations <= max_evals for tree in trees)
        self._alike = self._whole and len(trees) == 1
        self._n_rows = 1 if self._alike else len(corners)
        self._shape = corners.shape
        self._device = corners.device
        self._plant(trees)
        # [n_asked, n_values]: of the rows' empty and full coalitions first.
        ends = corners.movedim(1, 0) if self._alike else corners
        self._values = ends.reshape(2 * self._n_rows, -1)
        pair = pack_masks(torch.tensor([[False], [True]]).expand(2, self._n_players))
        self._masks = pair.repeat(self._n_rows, 1)
        self._spent = torch.full((self._n_rows,), 2)
        places = self._n_rows * (self._n_players + 1)
        self._leaves = self._values.new_zeros(places, self._values.shape[1])
        self._steps = torch.zeros_like(self._leaves)

    def _plant(self, trees: Sequence[Tree]) -> None:
        """Count the nodes of all trees through; places are those of each row's own order."""
        count = self._n_players = len(trees[0].order)
        places = torch.stack([tree.order.argsort() for tree in trees])
        self._places = places.expand(self._n_rows, count)
        self._start = torch.cat([tree.start for tree in trees])
        self._stop = torch.cat([tree.stop for tree in trees])
        self._n_children = torch.cat([tree.n_children for tree in trees])
        sizes = torch.tensor([0] + [len(tree.start) for tree in trees]).cumsum(0)
        self._roots = sizes[:-1]
        self._children = torch.cat(
            [tree.children + root for tree, root in zip(trees, self._roots, strict=True)]
        )
        self._first = self._n_children.cumsum(0) - self._n_children
        self._roots = self._roots.expand(self._n_rows)

    def run(self, ask: Ask) -> tuple[Tensor, Tensor]:
        """Ask until all is divided or nothing more may be asked for.

        Returns
        -------
        values : Tensor, shape [batch, ..., n_players]
            float64.
        undivided : Tensor, shape [batch, ...]
            float64, the sum of the magnitudes of shares that were split equally within a node.
        """
        row = torch.arange(self._n_rows)
        weight = torch.ones(self._n_rows, dtype=torch.float64)
        shares = self._settle(_Shares(row, self._roots, 2 * row, 2 * row + 1, weight))
        while shares.row.numel():
            chosen = self._choose(shares)
            if not bool(chosen.any()):
                break
            divided = shares.take(chosen.nonzero()[:, 0])
            fresh = self._divide(divided, ask)
            rest = shares.take((~chosen).nonzero()[:, 0])
            shares = _Shares(*(torch.cat(parts) for parts in zip(rest, fresh, strict=True)))
        return self._result(shares)

    def _gains(self, shares: _Shares) -> Tensor:
        """Return what is to be divided, float64 [n_shares, n_values]."""
        low, high, weight = (
            part.to(self._device) for part in (shares.low, shares.high, shares.weight)
        )
        return (self._values[high] - self._values[low]) * weight[:, None]

    def _choose(self, shares: _Shares) -> Tensor:
        """Return which shares are divided next, bool: the largest of each row, as far as it may."""
        chosen = torch.ones_like(shares.row, dtype=torch.bool)
        if self._whole:
            return chosen
        cost = 2 ** self._n_children[shares.node] - 2
        left = (self._max_evals - self._spent)[shares.row]
        quota = (self._spent // 8).clamp(min=_FIRST)[shares.row]
        # Nearly equal amounts, of players that are alike, must not be ranked by their rounding.
        digits, power = torch.frexp(self._gains(shares).abs().amax(1).cpu())
        amount = torch.ldexp((digits * 2**12).round(), power)
        order = torch.where(cost <= left, amount, -1.0).argsort(stable=True, descending=True)
        order = order[shares.row[order].argsort(stable=True)]
        running = torch.where(cost <= left, cost, 0)[order].cumsum(0)
        before = running - torch.where(cost <= left, cost, 0)[order]
        rows = shares.row[order]
        first = torch.ones_like(rows, dtype=torch.bool)
        first[1:] = rows[1:] != rows[:-1]
        offset = before[first][first.long().cumsum(0) - 1]
        taken = (before - offset < quota[order]) & (running - offset <= left[order])
        chosen[order] = taken & (cost <= left)[order]
        return chosen

    def _divide(self, shares: _Shares, ask: Ask) -> _Shares:
        """Ask for the coalitions of children and return the shares of those that have children."""
        widths = self._n_children[shares.node]
        parts = [
            (int(width), shares.take((widths == width).nonzero()[:, 0]))
            for width in torch.unique(widths)
        ]
        masks = torch.cat([self._coalitions(part, width) for width, part in parts])
        rows = torch.cat([part.row.repeat_interleave(2**width - 2) for width, part in parts])
        number = len(self._masks)
        self._masks = torch.cat([self._masks, masks])
        self._values = torch.cat([self._values, self._ask(rows, masks, ask)])
        self._spent += torch.bincount(rows, minlength=self._n_rows)
        made = []
        for width, part in parts:
            count = len(part.row) * (2**width - 2)
            inner = torch.arange(number, number + count).view(len(part.row), -1)
            made.append(self._below(part, width, inner))
            number += count
        fresh = _Shares(*(torch.cat(columns) for columns in zip(*made, strict=True)))
        return self._settle(fresh)

    def _kids(self, shares: _Shares, width: int) -> Tensor:
        """Return the children of nodes that have ``width`` of them, int64 [n, width]."""
        return self._children[self._first[shares.node][:, None] + torch.arange(width)]

    def _coalitions(self, shares: _Shares, width: int) -> Tensor:
        """Return the context with some of the children, not none nor all, packed [n_masks, words].

        Coalition ``s`` of a node, from 1 to 2^width - 2, has the children whose bits are in s.
        """
        bits = torch.arange(1, 2**width - 1)[:, None] >> torch.arange(width) & 1 > 0
        packed = []
        step = max(1, _ENTRIES // (len(bits) * self._n_players))
        for part in torch.split(torch.arange(len(shares.row)), step):
            some = shares.take(part)
            kids, place = self._kids(some, width), self._places[some.row]
            known = unpack_masks(self._masks[some.low], self._n_players)
            masks = known[:, None].repeat(1, len(bits), 1)
            for child in range(width):
                start, stop = self._start[kids[:, child]], self._stop[kids[:, child]]
                inside = (place >= start[:, None]) & (place < stop[:, None])
                masks |= inside[:, None] & bits[:, child, None]
            packed.append(pack_masks(masks.flatten(0, 1)))
        return torch.cat(packed)

    def _ask(self, rows: Tensor, masks: Tensor, ask: Ask) -> Tensor:
        """Return values of coalitions of rows, float64 [n_masks, n_values]."""
        if self._n_rows == 1:
            found = ask(masks)  # [batch, n_masks, ...], where a row has all examples
            return found.movedim(1, 0).reshape(len(masks), -1)
        counts = torch.bincount(rows, minlength=self._n_rows)
        order = rows.argsort(stable=True)
        within = torch.empty_like(rows)
        within[order] = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows[order]]
        table = masks.new_zeros(self._n_rows, int(counts.max()), masks.shape[1])
        table[rows, within] = masks
        found = ask(table).flatten(2) if len(self._shape) > 2 else ask(table)[:, :, None]
        return found[rows.to(self._device), within.to(self._device)]

    def _below(self, shares: _Shares, width: int, inner: Tensor) -> _Shares:
        """Return the children's shares: for each, with all coalitions of its siblings."""
        count = len(shares.row)
        table = torch.cat([shares.low[:, None], inner, shares.high[:, None]], 1)  # [n, 2^width]
        numbers = torch.arange(2**width)
        sizes = (numbers[:, None] >> torch.arange(width) & 1).sum(1)
        chance = torch.tensor(
            [1 / (width * math.comb(width - 1, size)) for size in range(width)],
            dtype=torch.float64,
        )
        without = torch.stack([numbers[numbers >> child & 1 == 0] for child in range(width)])
        joined = without + (1 << torch.arange(width))[:, None]
        shape = (count, width, without.shape[1])
        weight = shares.weight[:, None, None] * chance[sizes[without]]
        return _Shares(
            shares.row[:, None, None].expand(shape).flatten(),
            self._kids(shares, width)[:, :, None].expand(shape).flatten(),
            table[:, without].flatten(),
            table[:, joined].flatten(),
            weight.flatten(),
        )

    def _settle(self, shares: _Shares) -> _Shares:
        """Give single players their shares and return the others."""
        single = self._n_children[shares.node] == 0
        done = shares.take(single.nonzero()[:, 0])
        place = done.row * (self._n_players + 1) + self._start[done.node]
        add_at(self._leaves, place.to(self._device), self._gains(done))
        return shares.take((~single).nonzero()[:, 0])

    def _result(self, shares: _Shares) -> tuple[Tensor, Tensor]:
        """Split what is left equally within its nodes, and go from places back to players."""
        gains = self._gains(shares)
        start, stop = self._start[shares.node], self._stop[shares.node]
        each = gains / (stop - start)[:, None].to(gains)
        row = shares.row * (self._n_players + 1)
        add_at(self._steps, (row + start).to(self._device), each)
        add_at(self._steps, (row + stop).to(self._device), -each)
        undivided = gains.new_zeros(self._n_rows, gains.shape[1])
        add_at(undivided, shares.row.to(self._device), gains.abs())
        table = self._leaves.view(self._n_rows, self._n_players + 1, -1)
        if shares.row.numel():
            table = table + self._steps.view_as(table).cumsum(1)
        places = self._places.to(self._device)[:, :, None].expand(-1, -1, table.shape[2])
        values = table.gather(1, places).movedim(1, -1)  # [n_rows, n_values, n_players]
        outer = (self._shape[0], *self._shape[2:])
        return values.reshape(*outer, self._n_players), undivided.view(outer)
