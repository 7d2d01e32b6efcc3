"""The greedy loop against a plain one, on games whose gains are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai._quadrature import nodes_and_weights
from pyxai.greedy import greedy_rounds, path_nodes, round_sizes, selection_scores
from pyxai.ops import pack_masks, unpack_masks


class Quadratic:
    """G(S) = sum of c over S + sum of H over pairs in S, an own game for each example."""

    def __init__(self, batch, n, seed=0, interaction=1.0):
        draw = torch.Generator().manual_seed(seed)
        self.c = torch.randn(batch, n, generator=draw, dtype=torch.float64)
        upper = torch.randn(batch, n, n, generator=draw, dtype=torch.float64).triu(1)
        self.h = interaction * (upper + upper.transpose(1, 2))
        self.n, self.seen, self.valued = n, [], 0

    def of(self, shown, examples):
        one = shown.double()
        pairs = torch.einsum("bi,bij,bj->b", one, self.h[examples], one)
        return (self.c[examples] * one).sum(1) + pairs / 2

    def value(self, selected, examples):
        self.valued += len(examples)
        return self.of(unpack_masks(selected, self.n), examples)

    def gains(self, selected, examples):
        """G(S + i) - G(S)."""
        self.seen.append(examples.tolist())
        one = unpack_masks(selected, self.n).double()
        return self.c[examples] + torch.einsum("bij,bj->bi", self.h[examples], one)

    def path(self, selected, examples):
        """The path integral from S to all: half of the interaction with those to come."""
        one = unpack_masks(selected, self.n).double()
        rest = torch.einsum("bij,bj->bi", self.h[examples], 1 - one)
        return self.gains(selected, examples) + rest / 2


def plain(game, row, sizes, count, scores, absolute=False):
    """One example, one player at a time, by sorted lists."""
    order, values = [], [0.0]
    found = None
    for size in sizes:
        shown = torch.zeros(1, game.n, dtype=torch.bool)
        shown[0, order] = True
        found = scores(shown, row)
        key = found.abs() if absolute else found
        left = sorted(set(range(game.n)) - set(order), key=lambda i: (-float(key[i]), i))
        order += left[:size]
        shown[0, order] = True
        values.append(float(game.of(shown, torch.tensor([row]))))
    key = found.abs() if absolute else found
    left = sorted(set(range(game.n)) - set(order), key=lambda i: (-float(key[i]), i))
    return (order + left)[:count], values


def path_scores(game):
    def scores(shown, row):
        one = shown[0].double()
        return game.c[row] + game.h[row] @ one + game.h[row] @ (1 - one) / 2

    return scores


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 3), st.booleans(), st.integers(0, 9), st.data())
def test_loop_equals_a_plain_one(n, batch, absolute, seed, data):
    game = Quadratic(batch, n, seed)
    count = data.draw(st.integers(1, n))
    lists = st.lists(st.integers(1, 3), min_size=1, max_size=8).filter(lambda s: sum(s) <= count)
    rounds = data.draw(st.one_of(st.just("geometric"), st.integers(1, count), lists))
    sizes = round_sizes(rounds, n, count)
    result = greedy_rounds(
        game.path, batch, n, n_select=count, rounds=rounds, absolute=absolute, value=game.value
    )
    for row in range(batch):
        order, values = plain(game, row, sizes, count, path_scores(game), absolute)
        assert result.order[row].tolist() == order
        torch.testing.assert_close(
            result.values[row], torch.tensor(values, dtype=torch.float64), rtol=1e-12, atol=1e-12
        )
    assert result.n_rounds.tolist() == [len(sizes)] * batch
    # The path integral is complete.
    assert result.residuals.abs().max() < 1e-10
    reached = [index for index, size in enumerate(sizes) for _ in range(size)]
    assert result.round_index[0].tolist() == reached + [-1] * (count - len(reached))


def test_raw_scores_are_those_of_the_round():
    game = Quadratic(1, 6)
    result = greedy_rounds(game.path, 1, 6, rounds=[1, 2, 3])
    order = result.order[0].tolist()
    for place, (player, size) in enumerate(zip(order, [0, 1, 1, 3, 3, 3], strict=True)):
        shown = torch.zeros(1, 6, dtype=torch.bool)
        shown[0, order[:size]] = True
        expected = path_scores(game)(shown, 0)[player]
        torch.testing.assert_close(result.raw[0, place], expected)
    assert result.masks(3)[0].nonzero()[:, 0].tolist() == sorted(order[:3])


def test_a_row_alone_is_the_row_in_a_batch():
    game = Quadratic(5, 40, seed=3)
    together = greedy_rounds(game.path, 5, 40, value=game.value)
    for row in range(5):
        alone = greedy_rounds(
            lambda selected, _, row=row: game.path(selected, torch.tensor([row])), 1, 40
        )
        assert torch.equal(alone.order[0], together.order[row])
        torch.testing.assert_close(alone.raw[0], together.raw[row])


def test_redundant_players():
    """G = 4 min(1, w1 + w2) + w3: one-shot scores (2, 2, 1), then (-, 0, 1)."""

    def scores(selected, examples):
        twin = unpack_masks(selected, 3)[:, :2].any(1, keepdim=True)
        pair = torch.where(twin, 0.0, 2.0)
        return torch.cat([pair, pair, torch.ones(len(examples), 1)], 1)

    assert greedy_rounds(scores, 1, 3, rounds=[3]).order.tolist() == [[0, 1, 2]]
    result = greedy_rounds(scores, 1, 3, rounds=1)
    assert result.order.tolist() == [[0, 2, 1]]
    assert result.raw.tolist() == [[2, 1, 0]]


def test_ties_go_to_the_lower_index():
    for absolute in (False, True):
        result = greedy_rounds(
            lambda _, examples: torch.ones(len(examples), 70), 2, 70, absolute=absolute, rounds=[3]
        )
        assert result.order.tolist() == [list(range(70))] * 2


def test_examples_that_have_enough_leave_the_batch():
    game = Quadratic(3, 8, interaction=0.0)
    game.c = torch.tensor([[8.0] + [0.1] * 7, [1.0] * 8, [4.0, 4.0] + [0.1] * 6]).double()
    result = greedy_rounds(game.gains, 3, 8, rounds=1, value=game.value, epsilon=0.1)
    assert result.n_rounds.tolist() == [1, 8, 2]
    assert game.seen == [[0, 1, 2], [1, 2], *[[1]] * 6]
    assert result.order[0].tolist() == list(range(8))
    assert result.round_index[0].tolist() == [0] + [-1] * 7
    assert result.values[0, 1:].tolist() == [8.0] * 8
    assert result.residuals[0, 1:].abs().max() == 0
    telescoped = selection_scores(result, "telescoped")
    torch.testing.assert_close(telescoped.sum(1), result.values[:, -1])
    assert telescoped[0, 1:].abs().max() == 0


def test_the_stop_is_relative_to_the_size_of_a_negative_value():
    def value(selected, examples):
        return unpack_masks(selected, 4).double().sum(1) - 14  # from -14 to -10

    result = greedy_rounds(
        lambda _, examples: torch.ones(len(examples), 4), 1, 4, rounds=1, value=value, epsilon=0.15
    )
    assert result.n_rounds.tolist() == [3]


def test_a_shortlist_of_all_is_exact_greedy():
    game = Quadratic(4, 12, seed=5)
    result = greedy_rounds(game.path, 4, 12, rounds=1, value=game.value, shortlist=12)
    exact = greedy_rounds(game.gains, 4, 12, rounds=1)
    assert torch.equal(result.order, exact.order)
    torch.testing.assert_close(result.raw[:, :-1], exact.raw[:, :-1])
    short = greedy_rounds(game.path, 4, 12, rounds=1, value=game.value, shortlist=1)
    assert torch.equal(short.order, greedy_rounds(game.path, 4, 12, rounds=1).order)


def test_a_shortlist_is_taken_from_the_best_scores():
    game = Quadratic(1, 6, interaction=0.0)
    game.c = torch.arange(6.0).double()[None]
    scores = torch.tensor([[9.0, 8.0, 7.0, 1.0, 1.0, 1.0]]).double()
    result = greedy_rounds(
        lambda *_: scores, 1, 6, n_select=2, rounds=[2], value=game.value, shortlist=3
    )
    assert result.order.tolist() == [[2, 1]]
    assert result.raw.tolist() == [[2.0, 1.0]]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 14), st.booleans(), st.integers(0, 9), st.data())
def test_a_shortlist_equals_a_plain_loop(n, shortlist, absolute, seed, data):
    game = Quadratic(2, n, seed)
    lists = st.lists(st.integers(1, 4), min_size=1, max_size=6).filter(lambda s: sum(s) <= n)
    rounds = data.draw(st.one_of(st.just("geometric"), st.integers(1, n), lists))
    result = greedy_rounds(
        game.path, 2, n, rounds=rounds, absolute=absolute, value=game.value, shortlist=shortlist
    )
    for row in range(2):
        order, raw = [], []
        for size in round_sizes(rounds, n):
            shown = torch.zeros(1, n, dtype=torch.bool)
            shown[0, order] = True
            scores = path_scores(game)(shown, row)
            left = sorted(set(range(n)) - set(order), key=ranked_by(scores, absolute))
            if shortlist > size:
                scores = game.gains(pack_masks(shown), torch.tensor([row]))[0]
                left = sorted(left[:shortlist], key=ranked_by(scores, absolute))
            order += left[:size]
            raw += scores[left[:size]].tolist()
        assert result.order[row, : len(order)].tolist() == order
        expected = torch.tensor(raw, dtype=torch.float64)
        torch.testing.assert_close(result.raw[row, : len(raw)], expected, rtol=1e-9, atol=1e-9)


def ranked_by(scores, absolute):
    return lambda i: (-abs(float(scores[i])) if absolute else -float(scores[i]), i)


@pytest.mark.parametrize("shortlist", [None, 1, 2, 3, 6])
def test_absolute_gains_order_a_linear_game(shortlist):
    game = Quadratic(1, 6, interaction=0.0)
    game.c = torch.tensor([[5.0, -4.9, 1.0, -1.0, 0.5, -0.5]]).double()
    result = greedy_rounds(
        game.path, 1, 6, rounds=1, absolute=True, value=game.value, shortlist=shortlist
    )
    assert result.order.tolist() == [[0, 1, 2, 3, 4, 5]]
    torch.testing.assert_close(result.raw, game.c)


def test_adaptive_rounds_take_all_where_nothing_interacts():
    game = Quadratic(2, 40, interaction=0.0)
    result = greedy_rounds(game.gains, 2, 40, rounds="adaptive", value=game.value)
    assert result.n_rounds.tolist() == [1, 1]
    assert torch.equal(result.order, game.c.argsort(dim=1, descending=True))


def test_adaptive_rounds_do_not_let_twins_in_together():
    """Players 0 and 1 are twins in the second example only."""

    def value(selected, examples):
        shown = unpack_masks(selected, 4).double()
        both = 4 * shown[:, :2].amax(1)
        apart = 4 * shown[:, :2].sum(1)
        return torch.where(examples == 1, both, apart) + shown[:, 2] + shown[:, 3]

    def scores(selected, examples):
        shown = unpack_masks(selected, 4)
        twin = shown[:, :2].any(1) & (examples == 1)
        pair = torch.where(twin, 0.0, 4.0)
        one = torch.ones(len(examples))
        return torch.stack([pair, pair, one, one], 1)

    result = greedy_rounds(scores, 2, 4, rounds="adaptive", value=value, prefix_share=0.9)
    assert result.order.tolist() == [[0, 1, 2, 3], [0, 2, 3, 1]]
    assert result.n_rounds.tolist() == [1, 2]
    loose = greedy_rounds(scores, 2, 4, rounds="adaptive", value=value, prefix_share=0.0)
    assert loose.n_rounds.tolist() == [1, 1]


def test_adaptive_rounds_look_at_short_prefixes_first():
    """Complete scores promise exactly what all players gain, also where the first two are twins."""

    def value(selected, examples):
        shown = unpack_masks(selected, 3).double()
        return 4 * shown[:, :2].amax(1) + shown[:, 2]

    def scores(selected, examples):  # path integrals of 4 min(1, w0 + w1) + w2
        pair = torch.where(unpack_masks(selected, 3)[:, :2].any(1), 0.0, 2.0)
        return torch.stack([pair, pair, torch.ones(len(examples))], 1)

    result = greedy_rounds(scores, 1, 3, rounds="adaptive", value=value, prefix_share=1.0)
    assert result.residuals[0, 0] == 0
    assert result.n_rounds.tolist() == [1]  # 4 for one, 4 = 2 + 2 for two, 5 = 2 + 2 + 1 for all

    def value_of_one(selected, examples):  # 1 for one, so that all would keep the promise again
        return value(selected, examples) - 3 * (unpack_masks(selected, 3).sum(1) == 1)

    late = greedy_rounds(scores, 1, 3, rounds="adaptive", value=value_of_one, prefix_share=1.0)
    assert late.n_rounds.tolist() == [2]


def test_who_is_still_and_who_is_flat():
    """Scores of 3 players: some; none at first; none at all; none, but all together change G."""
    table = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 5.0], [0.0] * 3, [0.0] * 3])

    def scores(selected, examples):
        first = (selected == 0).all(1, keepdim=True)
        return torch.where(first & (examples[:, None] == 1), 0.0, table[examples])

    def value(selected, examples):
        shown = unpack_masks(selected, 3)
        return (shown[:, 2] & (examples != 2)).double() + (shown.all(1) & (examples == 3))

    for count, ask in ((3, value), (1, value), (3, None)):
        found = greedy_rounds(scores, 4, 3, rounds=1, n_select=count, value=ask)
        assert found.flat.tolist() == [False, True, True, True]
        assert found.still.tolist() == [False, False, True, ask is None]


def test_kinds_of_scores():
    game = Quadratic(3, 9, seed=2)
    result = greedy_rounds(game.path, 3, 9, value=game.value)
    rank = selection_scores(result)
    assert torch.equal(rank.argsort(dim=1, descending=True), result.order)
    assert torch.equal(rank.sort(1).values, torch.arange(1.0, 10.0).double().expand(3, 9))
    raw = selection_scores(result, "raw")
    assert torch.equal(raw.gather(1, result.order), result.raw)
    telescoped = selection_scores(result, "telescoped")
    torch.testing.assert_close(telescoped.sum(1), result.values[:, -1] - result.values[:, 0])
    # One player a round: the gain is its own.
    single = greedy_rounds(game.path, 3, 9, rounds=1, value=game.value)
    torch.testing.assert_close(
        selection_scores(single, "telescoped").gather(1, single.order), single.values.diff(dim=1)
    )
    some = greedy_rounds(game.path, 3, 9, n_select=4)
    assert (selection_scores(some) > 0).sum(1).tolist() == [4, 4, 4]
    assert selection_scores(some).max() == 9


def test_gains_are_shared_evenly_where_scores_say_nothing():
    def value(selected, examples):
        return unpack_masks(selected, 4).double().sum(1) * 3

    nearly = [1.0, -1.0 + 1e-9, 2.0, -2.0]  # what is left is rounding
    for scores in ([1.0, -1.0, 2.0, -2.0], nearly, [-1.0, -2.0, -3.0, -4.0]):
        row = torch.tensor([scores], dtype=torch.float64)
        result = greedy_rounds(lambda *_, row=row: row, 1, 4, rounds=[4], value=value)
        assert selection_scores(result, "telescoped").tolist() == [[3.0] * 4]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gains_and_losses_are_shared_in_proportion_to_scores(sign):
    def value(selected, examples):
        return unpack_masks(selected, 2).double() @ torch.tensor([sign, 3 * sign]).double()

    row = torch.tensor([[sign, 3 * sign]], dtype=torch.float64)
    result = greedy_rounds(lambda *_: row, 1, 2, rounds=[2], value=value)
    assert selection_scores(result, "telescoped").tolist() == [[sign, 3 * sign]]


def test_round_sizes():
    assert round_sizes("geometric", 64) == [1, 1, 2, 4, 8, 16, 32]
    assert round_sizes("geometric", 1) == [1]
    assert round_sizes("geometric", 64, 6) == [1, 1, 2, 2]
    assert round_sizes(4, 10) == [4, 4, 2]
    assert round_sizes([3, 1], 10) == [3, 1]
    for n in range(1, 70):
        assert sum(round_sizes("geometric", n)) == n


def test_path_nodes():
    for name, rule in (("midpoint", "midpoint"), ("trapezoid", "riemann_trapezoid")):
        for ours, theirs in zip(path_nodes(name, 4), nodes_and_weights(rule, 4), strict=True):
            assert torch.equal(ours, theirs)
    assert [part.tolist() for part in path_nodes("start", 7)] == [[0.0], [1.0]]
    with pytest.raises(ValueError, match=r"method must be one of .*'start', got 'end'"):
        path_nodes("end", 4)
    with pytest.raises(ValueError, match="n_steps must be at least 2, got 1"):
        path_nodes("trapezoid", 1)


@pytest.mark.parametrize(
    ("rounds", "n_select", "error", "message"),
    [
        ([1] * 6, None, ValueError, "more rounds than features: 6"),
        ([3, 3], None, ValueError, "n_select=5 of 5 player.* in all, got sizes that sum to 6"),
        ([2, 2], 3, ValueError, "n_select=3 of 5 player"),
        (6, None, ValueError, "rounds must add at most n_select=5 of 5 player.*got 6"),
        (0, None, ValueError, "rounds must be at least 1, got 0"),
        ([1, 0], None, ValueError, "rounds must be at least 1, got 0"),
        ([], None, ValueError, "rounds must have at least one size"),
        ("harmonic", None, ValueError, "rounds must be one of 'geometric', got 'harmonic'"),
        (1.5, None, TypeError, "rounds must be a name, an integer or a list, got 1.5"),
        (True, None, TypeError, "rounds must be an integer, got True"),
        (1, 6, ValueError, "n_select must be at most 5, all players, got 6"),
        (1, 0, ValueError, "n_select must be at least 1, got 0"),
    ],
)
def test_rounds_that_do_not_fit(rounds, n_select, error, message):
    with pytest.raises(error, match=message):
        round_sizes(rounds, 5, n_select)


def test_errors_of_the_loop():
    game = Quadratic(2, 5)

    def run(score=game.path, **options):
        return greedy_rounds(score, 2, 5, **options)

    with pytest.raises(ValueError, match="score must be finite, got 2 NaN"):
        run(lambda *_: torch.tensor([[1.0, 2.0, 3.0, 4.0, float("nan")]] * 2))
    with pytest.raises(ValueError, match=r"score must have shape \[2, 5\], got \[2, 4\]"):
        run(lambda *_: torch.ones(2, 4))
    with pytest.raises(TypeError, match="score must be a tensor"):
        run(lambda *_: 1.0)
    with pytest.raises(ValueError, match="value must be finite"):
        run(value=lambda selected, _: torch.full((len(selected),), float("inf")))
    with pytest.raises(ValueError, match=r"value must have shape \[4\], got \[2\]"):
        run(value=lambda *_: torch.ones(2))
    for options in ({"epsilon": 0.1}, {"shortlist": 2}, {"rounds": "adaptive"}):
        with pytest.raises(ValueError, match="value must be given for"):
            run(**options)
    with pytest.raises(ValueError, match="shortlist must be None for adaptive"):
        run(shortlist=2, rounds="adaptive", value=game.value)
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        run(epsilon=-1.0, value=game.value)
    with pytest.raises(ValueError, match=r"prefix_share must be in \[0, 1\], got 2"):
        run(prefix_share=2.0)
    with pytest.raises(TypeError, match="absolute must be True or False, got 'no'"):
        run(absolute="no")
    with pytest.raises(TypeError, match="epsilon must be a number, got 'a'"):
        run(epsilon="a", value=game.value)
    with pytest.raises(TypeError, match="prefix_share must be a number, got 'a'"):
        run(prefix_share="a")
    with pytest.raises(ValueError, match="value must be given to greedy_rounds for telescoped"):
        selection_scores(run(), "telescoped")
    with pytest.raises(ValueError, match="scores must be one of"):
        selection_scores(run(), "place")


@pytest.mark.parametrize("rounds", [np.int64(2), np.array([2, 2, 1]), np.array([2, 3])])
def test_sizes_may_be_numbers_of_numpy(rounds):
    plain = rounds.tolist()
    assert round_sizes(rounds, 5) == round_sizes(plain, 5)
    scores = lambda selected, examples: torch.arange(5.0).expand(1, 5)  # noqa: E731
    found = greedy_rounds(scores, 1, 5, rounds=rounds)
    assert torch.equal(found.round_index, greedy_rounds(scores, 1, 5, rounds=plain).round_index)
