"""Kinks of sums of ReLUs, whose places and jumps are known on paper."""

import itertools

import pytest
import torch

from pyxai.taylor.kinks.crossings import find_kinks

D = torch.float64
START, END = torch.zeros(2, dtype=D), torch.tensor([1.0, 0.0], dtype=D)


class Surfaces:
    """``sum_k heights[k] * relu(normals[k] . w - offsets[k]) + slope . w + level``, counted."""

    def __init__(self, normals, offsets, heights, slope=(0.0, 0.0), level=0.0):
        self.normals, self.offsets = torch.tensor(normals, dtype=D), torch.tensor(offsets, dtype=D)
        self.heights, self.slope = torch.tensor(heights, dtype=D), torch.tensor(slope, dtype=D)
        self.level, self.asked = level, []

    def __call__(self, points):
        self.asked.append(points.detach().clone())
        parts = (points @ self.normals.T.to(points) - self.offsets.to(points)).relu()
        linear = points @ self.slope.to(points)
        return parts @ self.heights.to(points) + linear + self.level

    def turned(self):
        made = Surfaces([[0.0, 0.0]], [0.0], [0.0])
        made.normals, made.offsets, made.heights = self.normals, self.offsets, -self.heights
        made.slope, made.level = -self.slope, -self.level
        return made


CASES = {
    "apart": Surfaces([[1.0, 2.0], [-1.0, 1.0]], [0.3, -0.8], [1.5, -2.0], (0.5, -1.0)),
    "in one cell": Surfaces([[1.0, 0.3]] * 3, [0.5001, 0.5023, 0.5071], [1.0, -3.0, 1.0]),
    # The middle of a cell lies on one tangent alone: two kinks hide between it and the other end.
    "in the middle": Surfaces(
        [[1.0, 0.0]] * 2 + [[-1.0, 0.0]], [0.502, 0.505, -0.5078125], [-3.0, 3.0, -0.5]
    ),
    "in the middle, back": Surfaces(
        [[-1.0, 0.0]] * 2 + [[1.0, 0.0]], [-0.498, -0.495, 0.4921875], [-3.0, 3.0, -0.5]
    ),
    "steep": Surfaces([[1.0, 2.0]], [0.4], [1e-2], (-1e3, -1e3)),
    "very steep": Surfaces([[1.0, 2.0]], [0.4], [1e-2], (-1e6, -1e6)),
    "steeply broken": Surfaces([[1.0, 2.0]], [0.4], [-1e6], (-1.0, -1.0)),
    "a cliff": Surfaces([[1.0, 0.5], [1.0, -0.3]], [0.4999995, 0.5000005], [-1e6, 1e6]),
    "far away": Surfaces([[1.0, 2.0], [1.0, 0.0]], [0.4, 0.41], [1.0, -1.0], level=-1e6),
    "meeting": Surfaces([[1.0, 2.0], [1.0, -1.0]], [0.4, 0.4], [1.0, 0.7], (-3.0, -3.0)),
    "meeting, one aslant": Surfaces([[1.0, 0.0], [0.002, 1.0]], [0.4, 0.0008], [1.0, 2.0]),
    "meeting, falling": Surfaces([[1.0, 1.0], [1.0, -1.0]], [0.4, 0.4], [-1.0, -0.7], (-3.0, -3.0)),
}


def expected(case):
    """Places and jumps of the kinks between START and END, in order."""
    rise = case.normals[:, 0]
    places = case.offsets / rise
    jumps = case.heights[:, None] * case.normals * rise.sign()[:, None]
    return sorted(zip(places.tolist(), jumps.tolist(), strict=True))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", CASES)
def test_places_and_jumps_are_those_of_the_surfaces(name, sign):
    case = CASES[name] if sign == 1 else CASES[name].turned()
    found = find_kinks(case, START, END)
    size = float(max(case.heights.abs().max(), case.slope.abs().max()))
    assert found.resolved
    jumps = sorted((place, jump.tolist()) for place, jump in found.jumps)
    assert len(jumps) == len(case.heights)
    wanted = expected(case)
    # What level or steepness rounds away of a value moves the place where two tangents meet.
    slack = 1e-15 * (abs(case.level) + size) / float(case.heights.abs().min())
    order = sorted(range(len(jumps)), key=lambda one: (round(jumps[one][0], 6), jumps[one][1]))
    right = sorted(range(len(jumps)), key=lambda one: (round(wanted[one][0], 6), wanted[one][1]))
    for one, other in zip(order, right, strict=True):
        assert abs(jumps[one][0] - wanted[other][0]) <= 1e-12 + 10 * slack
        torch.testing.assert_close(
            torch.tensor(jumps[one][1]), torch.tensor(wanted[other][1]), rtol=0, atol=1e-12 * size
        )


@pytest.mark.parametrize("name", CASES)
def test_pieces_are_the_line_and_their_gradients_those_between_the_kinks(name):
    case = CASES[name]
    pieces = find_kinks(case, START, END).pieces
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 1
    assert all(left[1] == right[0] for left, right in itertools.pairwise(pieces))
    size = float(max(case.heights.abs().max(), case.slope.abs().max()))
    for low, high, gradient in pieces:
        if high - low > 1e-6:
            middle = ((low + high) / 2 * END).requires_grad_()
            (exact,) = torch.autograd.grad(case(middle[None, None]).sum(), middle)
            torch.testing.assert_close(gradient, exact, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("name", CASES)
def test_the_negative_function_is_asked_the_same_and_has_the_negative_jumps(name):
    case, turned = CASES[name], CASES[name].turned()
    case.asked.clear()
    plain, other = find_kinks(case, START, END), find_kinks(turned, START, END)
    assert [points.tolist() for points in case.asked] == [pts.tolist() for pts in turned.asked]
    assert plain.resolved == other.resolved
    assert [place for place, _ in plain.jumps] == [place for place, _ in other.jumps]
    for (_, one), (_, two) in zip(plain.jumps, other.jumps, strict=True):
        assert torch.equal(one, -two)


@pytest.mark.parametrize(
    "name", sorted({*CASES} - {"very steep"})
)  # halved where rounding hides it
def test_what_is_asked_grows_with_the_kinks_alone(name):
    case = CASES[name]
    case.asked.clear()
    find_kinks(case, START, END)
    points = sum(each.shape[-2] for each in case.asked)
    # 65 cells, some rounds of three points for each kink, four probes of a meeting, 5 cells of it.
    assert 65 < points <= 65 + 45 * len(case.heights)


def test_a_function_without_kinks_has_one_gradient():
    case = Surfaces([[1.0, 0.0]], [2.0], [1.0], (-2.0, 3.0))
    found = find_kinks(case, START, END)
    assert found.jumps == []
    assert found.resolved
    assert all(gradient.tolist() == [-2.0, 3.0] for *_, gradient in found.pieces)
    assert len(case.asked) == 1


def test_surfaces_that_lie_on_each_other_are_one():
    case = Surfaces([[1.0, 2.0], [2.0, 4.0]], [0.4, 0.8], [1.0, 3.0])
    found = find_kinks(case, START, END)
    ((place, jump),) = found.jumps
    assert found.resolved
    assert place == pytest.approx(0.4, abs=1e-12)
    torch.testing.assert_close(jump, torch.tensor([7.0, 14.0], dtype=D), rtol=0, atol=1e-11)


def test_a_finer_search_sees_kinks_that_cancel_within_a_cell():
    # A hat of a hundredth of a cell: the gradients beside it are equal.
    case = Surfaces([[1.0, 0.0]] * 3, [0.5001, 0.50018, 0.50026], [1.0, -2.0, 1.0])
    assert len(find_kinks(case, START, END).jumps) == 0
    assert len(find_kinks(case, START, END, n_cells=8192).jumps) == 3


def test_a_surface_that_is_hardly_crossed_needs_a_wider_neighbourhood():
    case = CASES["meeting, one aslant"]
    assert not find_kinks(case, START, END, n_refine=0).resolved
    assert find_kinks(case, START, END, n_refine=2).resolved


def test_single_precision_finds_the_same_kinks():
    case = CASES["apart"]
    found = find_kinks(case, START.float(), END.float())
    assert found.resolved
    for (place, jump), (wanted, exact) in zip(found.jumps, expected(case), strict=True):
        assert place == pytest.approx(wanted, abs=1e-5)
        torch.testing.assert_close(jump, torch.tensor(exact, dtype=D), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_surfaces_that_meet_at_an_end_of_the_line_are_not_told_apart(end):
    """No weight lies there; where both leave it, v has no other gradient on the line."""
    side = 1.0 if end == 0 else -1.0
    case = Surfaces([[side, 2.0], [side, -1.0]], [side * end] * 2, [1.0, 0.7])
    found = find_kinks(case, START, END)
    ((place, jump),) = found.jumps
    assert found.resolved
    assert place == end
    assert jump.tolist() == pytest.approx([1.7, 1.3 * side])
