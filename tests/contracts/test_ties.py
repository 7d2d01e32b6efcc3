"""Equal scores rank in the order in which they stand: torch sorts so by itself up to 16 alone."""

import functools
import operator

import pytest
import torch

from pyxai import Explanation, masks, metrics
from pyxai.attribution.coalitions.owen.tree import Tree, layered
from pyxai.attribution.sampled.functional_information.scores import Groups
from pyxai.greedy import greedy_rounds
from pyxai.lex.masks.laws import top_k
from pyxai.metrics.attributions import rank_players
from pyxai.ops import unpack_masks

N = 40  # more than 16
LEVELS = (torch.arange(N) * 7 % 3).double()  # three values, many of each


def in_order(values):
    """Places by value, then by place."""
    return sorted(range(len(values)), key=lambda at: (-float(values[at]), at))


def chosen(places):
    mask = torch.zeros(1, N, dtype=torch.bool)
    mask[0, places] = True
    return mask


def test_players():
    assert rank_players(LEVELS[None])[0].tolist() == in_order(LEVELS)


@pytest.mark.parametrize("k", [1, 5, 20, N])
def test_the_first_of_equal_features_are_selected(k):
    first = chosen(in_order(LEVELS)[:k])
    assert torch.equal(top_k(LEVELS[None], k), first)
    rates = metrics.selection_rates(LEVELS[None], first, k=k)
    assert rates.tpr.tolist() == [1.0]
    assert metrics.stability(LEVELS[None], first.double(), measure="top", top=k / N) == 1


def test_features_that_are_listed():
    names = [f"f{place}" for place in range(N)]
    found = Explanation(LEVELS[None], LEVELS[None], feature_names=names).top(N)
    assert [name for name, _ in found] == [names[place] for place in in_order(LEVELS)]


def test_members_of_groups():
    owner = LEVELS.long()
    for ids, members in Groups(owner, 3).by_size:
        for group, places in zip(ids.tolist(), members.tolist(), strict=True):
            assert places == [at for at in range(N) if owner[at] == group]


def test_sums_of_groups_are_taken_in_the_order_of_features():
    """Where numbers cancel, another order is another sum."""
    values, groups = torch.empty(N, dtype=torch.float64), LEVELS.long()
    expected = []
    for group in range(3):
        places = (groups == group).nonzero()[:, 0]
        part = torch.tensor([1e17, 1.0, -1e17, 3.0]).double().repeat(4)[: len(places)]
        values[places] = part
        expected.append(functools.reduce(operator.add, part.tolist(), 0.0))
    found = masks.sum_groups(values[None], groups, return_input_shape=False)
    assert found[0].tolist() == expected


def test_greedy_rounds():
    def score(selected, examples):
        return LEVELS.expand(len(selected), -1)

    def nothing(selected, examples):  # no player adds anything: the order of the scores stays
        return torch.zeros(len(selected), dtype=torch.float64)

    def at_once(selected, examples):  # whoever is there is enough
        return unpack_masks(selected, N).any(1).double()

    short = greedy_rounds(score, 1, N, n_select=20, rounds=[20], value=nothing, shortlist=36)
    assert short.order[0].tolist() == in_order(LEVELS)[:20]
    stopped = greedy_rounds(score, 1, N, n_select=N, rounds=[4, N - 4], value=at_once, epsilon=0.0)
    assert stopped.order[0].tolist() == in_order(LEVELS)


def test_nodes_of_a_hierarchy():
    labels = LEVELS.long()
    order = layered([labels], N).order.tolist()
    assert order == sorted(range(N), key=lambda at: (int(labels[at]), at))
    places = torch.arange(N)
    flat = Tree(
        places,
        torch.cat([torch.zeros(1, dtype=torch.int64), places]),
        torch.cat([torch.tensor([N]), places + 1]),
        torch.zeros(N + 1, dtype=torch.int64),
    )
    assert flat.children.tolist() == list(range(1, N + 1))
