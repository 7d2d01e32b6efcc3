"""Pieces of paths, and which of them to halve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Look", "Pieces", "first_pieces"]

Ask = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From paths and places on them, [n], to outputs there, [n], and terms, [n, n_features]."""

# Each piece is half of a parent with five nodes, of which its own are the first or the last three.
# Weights of all five, in twelfths of the width of the piece: Simpson's rule; how far it is from the
# trapezoids of its three nodes; and 15 times how far it is from the quartic through all five, whose
# integral over both halves is Boole's rule.
_RULES = torch.tensor(
    [
        [[2, 8, 2, 0, 0], [1, -2, 1, 0, 0], [1, -4, 6, -4, 1]],
        [[0, 0, 2, 8, 2], [0, 0, 1, -2, 1], [1, -4, 6, -4, 1]],
    ],
    dtype=torch.float64,
)
_QUARTIC = 1 / 15
# Where a gradient jumps once, at a random place of the piece, the error of Simpson's rule is on
# average so many times its difference from the trapezoids.
_JUMP = 5 / 3
# Errors of single features cancel in their sum, of which the gap is measured.
_SPREAD = 2.5
_SHARE = 0.3  # pieces with this share of the largest error are halved with it
_NARROW = 2.0**-20  # pieces of this width are not: there is a jump of the model
_ROUNDING = 8.0  # units of rounding within which a gap is none
_ELEMENTS = 2**24  # looked at together


class Look(NamedTuple):
    """What is known of paths, a row each."""

    integrals: Tensor  # [n_paths, n_features]
    sizes: Tensor  # sums of their absolute values
    errors: Tensor  # estimates of the sum of their absolute errors
    shares: Tensor  # [n_paths, n_pieces], of the errors
    gaps: Tensor  # [n_paths, n_pieces]: sum of the integral less the change of the output


@dataclass
class Pieces:
    """Pieces of several paths; where a path has fewer than another, some have no width.

    Attributes
    ----------
    places, outputs : Tensor, shape [n_nodes]
        Where nodes of all paths are, and the outputs there, float64.
    terms : Tensor, shape [n_nodes, n_features]
        What each feature adds to the slope of the output there.
    paths : Tensor, shape [n_paths]
        Numbers of the paths that are not done.
    points : Tensor, shape [n_paths, n_pieces, 5]
        Nodes of the parent of each piece.
    second : Tensor, shape [n_paths, n_pieces]
        1 for the second half of the parent and 0 for the first.
    """

    places: Tensor
    outputs: Tensor
    terms: Tensor
    paths: Tensor
    points: Tensor
    second: Tensor

    def own(self) -> Tensor:
        """Return the three nodes of each piece, [n_paths, n_pieces, 3]."""
        steps = torch.arange(3, device=self.points.device)
        return self.points.gather(2, 2 * self.second[..., None] + steps)

    def widths(self) -> Tensor:
        """Return the width of each piece, [n_paths, n_pieces]."""
        ends = self.places[self.own()]
        return ends[..., 2] - ends[..., 0]

    def look(self) -> Look:
        """Integrate, and estimate errors.

        The sum over the features is known on each piece: the change of the output. That tells
        which of Simpson's rule and the quartic is nearer there. The error of each feature is taken
        to be the average after one jump, in differences of second or of fourth order, whichever are
        less in sum; those of different pieces are independent, so that their squares add up.
        """
        rules = _RULES.to(self.places.device)[self.second] * (self.widths() / 12)[..., None, None]
        simpson, _, fourth = (rules @ self._slopes()[..., None])[..., 0].unbind(2)
        own = self.own()
        change = self.outputs[own[..., 2]] - self.outputs[own[..., 0]]
        gaps = torch.stack([simpson - change, simpson - _QUARTIC * fourth - change])
        better = gaps[1].abs() < gaps[0].abs()
        rules[..., 0, :] -= _QUARTIC * rules[..., 2, :] * better[..., None]
        n_features = self.terms.shape[1]
        step = max(1, _ELEMENTS // max(1, 8 * self.points.shape[1] * n_features))
        parts = [
            _estimates(rules[some].to(self.terms.dtype), self.terms, self.points[some])
            for some in torch.split(torch.arange(len(self.points), device=self.points.device), step)
        ]
        integrals, errors, shares = map(torch.cat, zip(*parts, strict=True))
        sizes = integrals.double().abs().sum(1)
        return Look(integrals, sizes, errors, shares, torch.where(better, gaps[1], gaps[0]))

    def _slopes(self) -> Tensor:
        """Return the sum of the terms at all nodes of parents, [n_paths, n_pieces, 5]."""
        return self.terms.double().sum(1)[self.points]

    def refine(self, ask: Ask, tolerance: float, max_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Halve pieces until paths are as exact as asked for.

        Returns
        -------
        integrals : Tensor, shape [n_paths, n_features]
        gaps : Tensor, shape [n_paths]
        missed : Tensor
            Numbers of the paths that would take more nodes.
        """
        ends = self.points[:, [0, 1], [0, 4]]
        start, end = self.outputs[ends].unbind(1)
        change, level = end - start, end.abs() + start.abs()
        found = self.terms.new_empty(len(change), self.terms.shape[1])
        gaps = torch.empty_like(change)
        missed: list[Tensor] = []
        while self.paths.numel():
            look, paths = self.look(), self.paths
            found[paths] = look.integrals
            gaps[paths] = look.integrals.double().sum(1) - change[paths]
            unit = _ROUNDING * torch.finfo(found.dtype).eps
            noise = unit * (look.sizes + level[paths])
            most = torch.maximum(tolerance * change[paths].abs(), noise)
            sure = look.errors - torch.maximum(_SPREAD * tolerance * look.sizes, noise)
            open_ = (gaps[paths].abs() > most) | (sure > 0)
            chosen = self._to_halve(look, most, sure, max_nodes) & open_[:, None]
            stay = chosen.any(1)
            missed.append(paths[open_ & ~stay])
            self._keep(stay)
            if self.paths.numel():
                self._halve(chosen[stay], ask)
        return found, gaps, torch.cat(missed)

    def _to_halve(self, look: Look, most: Tensor, sure: Tensor, max_nodes: int) -> Tensor:
        """Return which pieces to halve, [n_paths, n_pieces]: as few as seem to be enough.

        Those with the largest errors of the attributions, which halving is expected to halve, as
        long as these are in the way, and then those with the largest gaps, expected to go.
        """
        unsure = (sure > 0)[:, None]
        scores = torch.where(unsure, look.shares, look.gaps.abs())
        order = scores.argsort(dim=1, descending=True, stable=True)
        less = look.shares.gather(1, order).cumsum(1) / 2
        left = look.gaps.sum(1, keepdim=True) - look.gaps.gather(1, order).cumsum(1)
        short = torch.where(unsure, less < sure[:, None], left.abs() > most[:, None])
        counts = 1 + short.long().cumprod(1).sum(1)
        counts = counts.minimum((scores >= _SHARE * scores.amax(1, keepdim=True)).sum(1))
        widths = self.widths()
        n_nodes = 2 * (widths > 0).sum(1) + 1
        counts = counts.minimum((max_nodes - n_nodes) // 2)
        ranks = order.argsort(1)
        return (ranks < counts[:, None]) & (widths > _NARROW)

    def _keep(self, stay: Tensor) -> None:
        self.paths, self.points = self.paths[stay], self.points[stay]
        self.second = self.second[stay]

    def _halve(self, chosen: Tensor, ask: Ask) -> None:
        """Put two nodes into each of some pieces, and two pieces in its place."""
        n_pieces = chosen.shape[1]
        row, column = chosen.nonzero(as_tuple=True)
        parents = self.own()[row, column]  # [n_chosen, 3]
        first, middle, last = self.places[parents].unbind(1)
        places = torch.stack([(first + middle) / 2, (middle + last) / 2], 1).flatten()
        outputs, terms = ask(self.paths[row].repeat_interleave(2), places)
        fresh = len(self.places) + torch.arange(len(places), device=places.device).view(-1, 2)
        self.places = torch.cat([self.places, places])
        self.outputs = torch.cat([self.outputs, outputs])
        self.terms = torch.cat([self.terms, terms])
        nodes = torch.stack(
            [parents[:, 0], fresh[:, 0], parents[:, 1], fresh[:, 1], parents[:, 2]], 1
        )
        rank = chosen.cumsum(1)[row, column] - 1
        more = int(rank.max()) + 1
        self.points = torch.nn.functional.pad(self.points, (0, 0, 0, more))
        self.second = torch.nn.functional.pad(self.second, (0, more))
        for half, place in enumerate((column, n_pieces + rank)):
            self.points[row, place] = nodes
            self.second[row, place] = half


def _estimates(rules: Tensor, terms: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return integrals, estimates of their errors, and the shares of the pieces in these."""
    found = torch.matmul(rules, terms[points])  # [n_paths, n_pieces, 3, n_features]
    values, second, fourth = found.unbind(2)
    smooth = fourth.abs().sum(-1) < second.abs().sum(-1)
    errors = _JUMP * torch.where(smooth[..., None], fourth, second)
    largest = errors.abs().amax((1, 2), keepdim=True)  # squares may leave the range of the dtype
    squares = (errors / torch.where(largest > 0, largest, 1)).square()
    total = squares.sum(1, keepdim=True).sqrt()
    shares = (squares / torch.where(total > 0, total, 1)).double().sum(-1)
    scale = largest[:, :, 0].double()
    return values.sum(1), total.double().sum((1, 2)) * scale[:, 0], shares * scale


def first_pieces(places: Sequence[float], outputs: Tensor, terms: Tensor) -> Pieces:
    """Return two pieces for each path from five nodes, those of the path's halves.

    Outputs are [5, n_paths] and terms [5, n_paths, n_features].
    """
    n_nodes, n_paths = outputs.shape
    numbers = torch.arange(n_nodes * n_paths, device=outputs.device).view(n_nodes, n_paths)
    where = torch.tensor(places, dtype=torch.float64, device=outputs.device)
    return Pieces(
        where.repeat_interleave(n_paths),
        outputs.flatten(),
        terms.flatten(0, 1),
        numbers[0],
        numbers.T[:, None].repeat(1, 2, 1),
        torch.tensor([0, 1], device=outputs.device).repeat(n_paths, 1),
    )
