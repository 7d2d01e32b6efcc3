"""All kinks of a piecewise-linear function along a straight line, with the jumps of its gradient.

Between kinks v is linear, so two tangents that belong to neighbouring pieces meet exactly at the
kink: the search evaluates v where the tangents of an interval meet, and splits there until every
meeting point lies on v. No look at the model's units is needed, so max-pooling, abs and functional
ReLUs are found like modules.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyxai.taylor.derivatives.jets import Function, gradients

__all__ = ["LineKinks", "find_kinks"]

_MAX_ROUNDS = 200
_PROBES = 8


@dataclass
class LineKinks:
    """Pieces and kinks of ``t -> v(start + t * direction)`` on [0, 1].

    Attributes
    ----------
    pieces : list of (from, to, gradient)
        Gradient of v, float64 [n_players], constant between two positions.
    jumps : list of (position, jump)
        Jump of the gradient across one kink surface, float64 [n_players]; surfaces that meet the
        line at the same position are listed one by one.
    resolved : bool
        False if surfaces that meet at one position could not be told apart.
    """

    pieces: list[tuple[float, float, Tensor]] = field(default_factory=list)
    jumps: list[tuple[float, Tensor]] = field(default_factory=list)
    resolved: bool = True


@dataclass
class _Node:
    """v at one position of the line."""

    t: float
    value: float
    slope: float  # derivative along the line
    gradient: Tensor  # float64 [n_players]


class _Line:
    """v on the points ``start + t * direction`` of one example."""

    def __init__(self, function: Function, start: Tensor, direction: Tensor) -> None:
        self.function, self.start, self.direction = function, start, direction
        eps = torch.finfo(start.dtype).eps
        # Rounding of a forward and a backward pass: a few hundred eps relative to the largest.
        self.tolerance = 500 * eps
        # How far beside a kink its two gradients are looked at, relative to the interval.
        self.step = eps**0.5

    def at(self, positions: list[float]) -> list[_Node]:
        t = torch.tensor(positions, dtype=self.start.dtype, device=self.start.device)
        values, slopes = gradients(self.function, (self.start + t[:, None] * self.direction)[None])
        direction = self.direction.double().cpu()
        return [
            _Node(position, float(value), float(slope @ direction), slope)
            for position, value, slope in zip(
                positions, values[0].double().tolist(), slopes[0].double().cpu(), strict=True
            )
        ]


def find_kinks(
    function: Function, start: Tensor, end: Tensor, *, n_cells: int = 64, n_refine: int = 2
) -> LineKinks:
    """Find the kinks of v between two points.

    Parameters
    ----------
    function : callable
        ``[1, n_points, n_players] -> [1, n_points]``, linear between kinks.
    start, end : Tensor, shape [n_players]
        Ends of the line, in player weights.
    n_cells : int
        Equal cells in which the search starts; kinks that cancel within one cell can be missed.
    n_refine : int
        How often the neighbourhood is widened when several kinks fall on one position.

    Returns
    -------
    LineKinks
        Positions are exact up to rounding. O(number of kinks) gradient evaluations.
    """
    line = _Line(function, start, end - start)
    found = _search(line, [cell / n_cells for cell in range(n_cells + 1)])
    together: dict[float, Tensor] = {}
    for position, jump in found.jumps:
        together[position] = together.get(position, torch.zeros_like(jump)) + jump
    places = [0.0, *together, 1.0]
    meetings = [
        _Meeting(
            position,
            min(position - places[index], places[index + 2] - position),
            _gradient_before(found, position),
            jump,
        )
        for index, (position, jump) in enumerate(together.items())
    ]
    found.jumps = []
    for meeting, single in zip(meetings, _are_single(line, meetings), strict=True):
        parts = [meeting.jump] if single else _separate(line, meeting, n_refine)
        found.resolved &= bool(parts)
        found.jumps += [(meeting.position, part) for part in parts or [meeting.jump]]
    return found


@dataclass
class _Meeting:
    """Where the line meets one or several kink surfaces."""

    position: float
    room: float  # distance to the next kink or end
    before: Tensor  # gradient on the piece before
    jump: Tensor  # gradient after minus before

    def radius(self, line: _Line) -> float:
        """Return a distance at which the next kink is not met."""
        return min(1e-6 if line.start.dtype == torch.float64 else 1e-3, self.room / 100)

    def allowed(self, line: _Line) -> float:
        """Return the rounding of its gradients."""
        return line.tolerance * float(self.before.abs().max() + self.jump.abs().max())


def _search(line: _Line, positions: list[float]) -> LineKinks:
    nodes = line.at(positions)
    scale = max(1e-300, *(float(node.gradient.abs().max()) for node in nodes))
    height = max(1e-300, *(abs(node.value) for node in nodes), *(abs(n.slope) for n in nodes))
    open_intervals = [(left, right, False) for left, right in itertools.pairwise(nodes)]
    found = LineKinks()
    for _ in range(_MAX_ROUNDS):
        pending = []
        for left, right, halve in open_intervals:
            if _distance(left, right) <= line.tolerance * scale:
                found.pieces.append((left.t, right.t, left.gradient))
            elif right.t - left.t <= 4e-16:
                _add_kink(found, left, right, left.t)
            else:
                meeting = _meeting_point(left, right, line.tolerance * scale)
                pending.append((left, right, (left.t + right.t) / 2 if halve else meeting))
        if not pending:
            break
        triples = [_around(left, right, t, line.step) for left, right, t in pending]
        nodes = line.at([t for triple in triples for t in triple])
        open_intervals = []
        for (left, right, _), low, middle, high in zip(
            pending, nodes[::3], nodes[1::3], nodes[2::3], strict=True
        ):
            expected = left.value + left.slope * (middle.t - left.t)
            other = right.value + right.slope * (middle.t - right.t)
            meets = max(abs(middle.value - expected), abs(middle.value - other))
            # Tangents can also meet on v beyond a short piece between them, so both sides count.
            sides = max(_distance(left, low), _distance(right, high))
            if meets <= line.tolerance * height and sides <= line.tolerance * scale:
                _add_kink(found, left, right, middle.t)
            elif middle.t in (left.t, right.t):  # tangents that meet at an end would do so again
                open_intervals.append((left, right, True))
            else:
                open_intervals += [(left, middle, False), (middle, right, False)]
    else:
        found.resolved = False
    found.pieces.sort(key=lambda piece: piece[:2])  # an empty one comes first
    found.jumps.sort(key=lambda jump: jump[0])
    return found


def _distance(one: _Node, other: _Node) -> float:
    return float((one.gradient - other.gradient).abs().max())


def _around(left: _Node, right: _Node, t: float, step: float) -> tuple[float, float, float]:
    side = step * (right.t - left.t)
    return max(left.t, t - side), t, min(right.t, t + side)


def _add_kink(found: LineKinks, left: _Node, right: _Node, position: float) -> None:
    found.pieces += [(left.t, position, left.gradient), (position, right.t, right.gradient)]
    found.jumps.append((position, right.gradient - left.gradient))


def _meeting_point(left: _Node, right: _Node, tolerance: float) -> float:
    """Return where the tangents of the two ends meet, or the middle if they do not within."""
    gap = left.slope - right.slope
    middle = (left.t + right.t) / 2
    if abs(gap) <= tolerance:
        return middle
    # Relative to the left end, so that nothing cancels for far-away positions.
    width = right.t - left.t
    offset = (right.value - left.value - right.slope * width) / gap
    return left.t + offset if 0 <= offset <= width else middle


def _gradient_before(found: LineKinks, position: float) -> Tensor:
    ending = [gradient for low, high, gradient in found.pieces if high == position and low < high]
    return ending[-1] if ending else found.pieces[0][2]


def _aside(n_players: int) -> Tensor:  # float64 [_PROBES, n_players]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_PROBES, n_players, generator=generator, dtype=torch.float64)


def _are_single(line: _Line, meetings: list[_Meeting]) -> list[bool]:
    """Tell which meetings are with one surface: v has then only two gradients around them.

    The ends of the path carry no weight, so they are not looked at.
    """
    aside = _aside(line.start.numel()).to(line.start)
    inner = [meeting for meeting in meetings if 0 < meeting.position < 1]
    if not inner:
        return [True] * len(meetings)
    points = torch.cat(
        [line.start + m.position * line.direction + m.radius(line) * aside for m in inner]
    )
    slopes = gradients(line.function, points[None])[1][0].double().cpu()
    single = {}
    for meeting, around in zip(inner, torch.split(slopes, _PROBES), strict=True):
        known = torch.stack([meeting.before, meeting.before + meeting.jump])
        distance = (around[:, None] - known).abs().amax(-1).amin(-1)
        single[meeting.position] = bool((distance <= meeting.allowed(line)).all())
    return [single.get(meeting.position, True) for meeting in meetings]


def _separate(line: _Line, meeting: _Meeting, n_refine: int) -> list[Tensor]:
    """Split the jump at one position into those of single surfaces; empty if that fails.

    The line is moved aside a little, which pulls the surfaces apart.
    """
    radius = meeting.radius(line)
    moved = line.start + radius * _aside(line.start.numel())[0].to(line.start)
    for widening in range(n_refine + 1):
        width = radius * 50 * 10**widening
        start = moved + (meeting.position - width) * line.direction
        local = _search(
            _Line(line.function, start, 2 * width * line.direction), [c / 4 for c in range(5)]
        )
        parts = [part for _, part in local.jumps]
        total = torch.stack(parts).sum(0) if parts else torch.zeros_like(meeting.jump)
        if local.resolved and float((total - meeting.jump).abs().max()) <= 10 * meeting.allowed(
            line
        ):
            return parts
    return []
