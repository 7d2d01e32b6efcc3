"""Owen values against orders that keep groups together, Shapley values and shap; budgets; forms."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tanh_nets import rows
from tanh_nets import steep_mlp as mlp

from pyxai import PyxaiWarning
from pyxai.attribution import PartitionShap, ShapleyValues
from pyxai.decomposition import ACD
from pyxai.imputers import Marginal
from pyxai.masks import patches

TREE = (((0, 1), 2), (3, 4, (5, 6)))


def orders(node):
    """List the orders of players in which every group stands together."""
    if isinstance(node, int):
        return [(node,)]
    found = []
    for children in itertools.permutations(node):
        found += [sum(parts, ()) for parts in itertools.product(*map(orders, children))]
    return found


def by_orders(game, tree, n_players):
    """Average marginal contributions; ``game`` is a table by the bits of the coalition."""
    values = torch.zeros(n_players, dtype=torch.float64)
    every = orders(tree)
    for order in every:
        present = 0
        for player in order:
            values[player] += game[present | 1 << player] - game[present]
            present |= 1 << player
    return values / len(every)


def table_model(game, n_players):
    """Return a model that looks coalitions up, for inputs of ones."""
    powers = 2 ** torch.arange(n_players)
    return lambda z: game[..., (z.long() * powers).sum(1)].movedim(-1, 0)


def random_game(n_players, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2**n_players, generator=generator, dtype=torch.float64)


def ones(n_players):
    return torch.ones(1, n_players, dtype=torch.float64)


@st.composite
def trees(draw, players):
    """Draw nested lists of some players, in any order, of two to four children a node."""
    players = draw(st.permutations(players))
    if len(players) == 1:
        return players[0]
    count = draw(st.integers(2, min(4, len(players))))
    cuts = draw(
        st.lists(
            st.integers(1, len(players) - 1), min_size=count - 1, max_size=count - 1, unique=True
        )
    )
    ends = [0, *sorted(cuts), len(players)]
    return [draw(trees(players[a:b])) for a, b in itertools.pairwise(ends)]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(5, 6), st.integers(0, 99))
def test_exact_values_are_means_over_the_orders_of_the_tree(data, n_players, seed):
    tree = data.draw(trees(range(n_players)))
    game = random_game(n_players, seed)
    found = PartitionShap(table_model(game, n_players)).attribute(ones(n_players), hierarchy=tree)
    expected = by_orders(game, tree, n_players)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)


def test_seven_players_and_their_count_of_evaluations():
    game = random_game(7)
    asked = []

    def model(z):
        asked.append(len(z))
        return table_model(game, 7)(z)

    method = PartitionShap(model)
    found = method.attribute(ones(7), hierarchy=TREE)
    torch.testing.assert_close(found[0], by_orders(game, TREE, 7), rtol=0, atol=1e-12)
    asked.clear()  # the first call also looks at the model
    method.attribute(ones(7), hierarchy=TREE)
    # 2 ends, 2 at the root, 2 * 2 of (01)2, 4 * 2 of 01, 2 * 6 of 34(56), 8 * 2 of 56.
    assert sum(asked) == 44
    limited = method.attribute(ones(7), hierarchy=TREE, max_evals=44)
    assert torch.equal(limited, found)


@pytest.mark.parametrize("flat", [[0, 1, 2, 3, 4], [[[0, 1, 2, 3, 4]]], [[0], 1, 2, [[3]], 4]])
def test_one_level_is_the_shapley_value(flat):
    net, x = mlp(5, 3), rows(3, 5)
    exact = ShapleyValues(net).attribute(x)
    torch.testing.assert_close(PartitionShap(net).attribute(x, hierarchy=flat), exact)


@pytest.mark.parametrize("tree", [TREE, [0, [1, [2, [3, [4, [5, 6]]]]]]])
def test_games_in_which_the_tree_makes_no_difference(tree):
    x = rows(2, 7)
    additive = PartitionShap(lambda z: z.exp().sum(1)).attribute(x, hierarchy=tree)
    torch.testing.assert_close(additive, x.exp() - 1)
    pairs = lambda z: z.sum(1).square()  # noqa: E731
    found = PartitionShap(pairs).attribute(x, hierarchy=tree)
    torch.testing.assert_close(found, x * x.sum(1, keepdim=True))


def test_axioms():
    first, second, x = mlp(7), mlp(7, seed=1), rows(3, 7)
    values = lambda model: PartitionShap(model).attribute(x, hierarchy=TREE)  # noqa: E731
    both = values(lambda z: 2 * first(z) - 3 * second(z))
    torch.testing.assert_close(both, 2 * values(first) - 3 * values(second))
    torch.testing.assert_close(
        both.sum(1),
        (2 * (first(x) - first(0 * x)) - 3 * (second(x) - second(0 * x)))[:, 0].detach(),
    )
    unread = values(
        lambda z: first(torch.cat([z[:, :3], torch.zeros_like(z[:, 3:4]), z[:, 4:]], 1))
    )
    assert unread[:, 3].abs().max() < 1e-14
    # 3 and 4 are alike and children of one node; 2 and 3 are alike in the game, not in the tree.
    least = PartitionShap(lambda z: z.amin(1)).attribute(ones(7), hierarchy=TREE)[0]
    assert least[3] == least[4]
    torch.testing.assert_close(least, torch.tensor([3, 3, 6, 4, 4, 2, 2]).double() / 24)


def balanced(players):
    half = len(players) // 2
    return players[0] if half == 0 else [balanced(players[:half]), balanced(players[half:])]


def shap_values(model, n_players, linkage, max_evals):
    import shap  # here, as it takes seconds

    class Masker(shap.maskers.Masker):
        clustering = linkage
        shape = (1, n_players)
        fixed_background = True

        def __call__(self, mask, x):
            return (np.where(mask, x, 0.0)[None],)

    run = lambda z: model(torch.as_tensor(z)).numpy()  # noqa: E731
    peer = shap.explainers.PartitionExplainer(run, Masker())
    x = np.ones((1, n_players))
    return torch.as_tensor(peer(x, max_evals=max_evals, batch_size=1, silent=True).values)


@pytest.mark.filterwarnings("ignore")  # shap's own use of other packages
def test_equals_shap_on_a_linkage():

    game = random_game(8)
    model = table_model(game, 8)
    linkage = np.array(
        [[0, 1, 1, 2], [2, 3, 1, 2], [8, 4, 1, 3], [9, 10, 1, 5], [5, 6, 1, 2], [12, 7, 1, 3],
         [11, 13, 1, 8]], dtype=np.float64,
    )  # fmt: skip
    theirs = shap_values(model, 8, linkage, 10_000)
    ours = PartitionShap(model).attribute(ones(8), hierarchy=linkage)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    nested = [[[2, 3], [[0, 1], 4]], [[5, 6], 7]]
    torch.testing.assert_close(PartitionShap(model).attribute(ones(8), hierarchy=nested), ours)
    # Divided once, what a half is worth is split equally within it, as there.
    with pytest.warns(PyxaiWarning, match=r"max_evals=4 divides the hierarchy in part, all of whi"):
        little = PartitionShap(model).attribute(ones(8), hierarchy=linkage, max_evals=4)
    torch.testing.assert_close(little, shap_values(model, 8, linkage, 4), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:max_evals")
def test_budgets_are_kept_complete_and_of_falling_error():
    torch.manual_seed(0)
    net, x = mlp(32), rows(4, 32)
    tree = balanced(list(range(32)))
    asked = []

    def counting(z):
        asked.append(len(z))
        return net(z)

    method = PartitionShap(counting)
    exact = method.attribute(x, hierarchy=tree)
    errors = []
    for max_evals in (4, 16, 64, 256, 684):
        asked.clear()
        options = {"hierarchy": tree, "max_evals": max_evals, "return_convergence_delta": True}
        found, delta = method.attribute(x, **options)
        assert sum(asked) == 4 * max_evals
        assert delta.abs().max() < 1e-12
        assert torch.equal(found, PartitionShap(net).attribute(x, **options)[0])
        for row in range(4):
            alone = PartitionShap(net).attribute(x[row : row + 1], **options)[0]
            torch.testing.assert_close(alone, found[row : row + 1], rtol=0, atol=1e-12)
        errors.append(float((found - exact).square().mean().sqrt()))
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < errors[0] / 2
    assert errors[-1] == 0


@pytest.mark.filterwarnings("ignore:max_evals")
def test_what_is_large_is_divided_first():
    weights = torch.tensor([1, 2, 1, 1, 50, 1, 1, 1]).double()
    model = lambda z: (z * weights).sum(1) * 1.0  # noqa: E731
    tree = balanced(list(range(8)))
    found = PartitionShap(model).attribute(ones(8), hierarchy=tree, max_evals=8)[0]
    # The ends, the root and the two contexts of the half that holds the largest.
    assert found[:4].tolist() == [1.25] * 4
    assert found[4:].tolist() == [25.5, 25.5, 1, 1]


@pytest.mark.filterwarnings("ignore:max_evals")
def test_wide_nodes_are_divided_as_far_as_the_budget_goes():
    tree = [[0, 1, 2, 3, 4], [5, 6], 7, 8]
    net, x = mlp(9), rows(3, 9)
    exact = PartitionShap(net).attribute(x, hierarchy=tree)
    for max_evals in (32, 60, 120, 271):
        found = PartitionShap(net).attribute(x, hierarchy=tree, max_evals=max_evals)
        torch.testing.assert_close(found.sum(1), exact.sum(1))
    assert not torch.allclose(found, exact)
    found = PartitionShap(net).attribute(x, hierarchy=tree, max_evals=272)
    torch.testing.assert_close(found, exact)
    with pytest.raises(ValueError, match=r"at most 4 children in a node for max_evals=16, got 5"):
        PartitionShap(net).attribute(x, hierarchy=tree, max_evals=16)


def test_players_at_the_baseline_are_taken_out_of_the_tree():
    net, x = mlp(7), rows(4, 7)
    x[0, [0, 3]] = 0
    x[1, [3, 4, 5, 6]] = 0
    x[2] = 0
    found = PartitionShap(net).attribute(x, hierarchy=TREE)
    assert ((found != 0) == (x != 0)).all()
    for row, tree in ((0, ((1, 2), (4, (5, 6)))), (1, ((0, 1), 2))):
        few = x[row].nonzero()[:, 0].tolist()
        part = of_some(net, few)
        name = {player: number for number, player in enumerate(few)}
        renamed = rename(tree, name)
        alone = PartitionShap(part).attribute(x[row : row + 1, few], hierarchy=renamed)
        torch.testing.assert_close(found[row, few], alone[0])


def of_some(net, few):
    """Return the net as a function of some of seven features, the others at 0."""
    index = torch.tensor(few)
    return lambda z: net(torch.zeros(len(z), 7).double().index_copy(1, index, z))


def rename(node, names):
    return names[node] if isinstance(node, int) else [rename(child, names) for child in node]


def test_outputs_masks_tuples_and_imputers():
    net, x = mlp(7, 3), rows(3, 7)
    whole = PartitionShap(net).attribute(x, hierarchy=TREE)
    assert whole.shape == (3, 3, 7)
    for target in range(3):
        one = PartitionShap(net).attribute(x, hierarchy=TREE, target=target)
        torch.testing.assert_close(whole[:, target], one)
    pair = PartitionShap(lambda a, b: net(torch.cat([a, b], 1)))
    parts = pair.attribute((x[:, :3], x[:, 3:]), hierarchy=TREE)
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    summed = PartitionShap(lambda z: net(z)[:, 0].sum()).attribute(x, hierarchy=TREE)
    torch.testing.assert_close(summed[0], whole[:, 0].sum(0))
    mask = torch.tensor([[30, 30, 10, 20, 40, 40, 40]])
    grouped = PartitionShap(net).attribute(x, hierarchy=[[30, 20], 10, 40], feature_mask=mask)
    assert torch.equal(grouped[..., 0], grouped[..., 1])
    background = rows(5, 7, seed=3)
    options = {"imputer": Marginal(background), "hierarchy": TREE, "target": 0}
    drawn = PartitionShap(net).attribute(x, **options)
    gain = net(x)[:, 0] - net(background)[:, 0].mean()
    torch.testing.assert_close(drawn.sum(1), gain.detach())


def picture_model(z):
    return (
        (z * torch.arange(1, z[0].numel() + 1).view(z.shape[1:]).double() / 40)
        .sum((1, 2, 3))
        .tanh()
    )


def picture(batch=2, channels=1, height=4, width=6):
    return rows(batch, channels * height * width).view(batch, channels, height, width)


def test_images_are_halved_along_their_longer_side():
    x = picture()
    mask = patches(x, 2)  # two lines of three patches
    found = PartitionShap(picture_model).attribute(x, feature_mask=mask)
    tree = [[[0, 1], [3, 4]], [2, 5]]
    same = PartitionShap(picture_model).attribute(x, feature_mask=mask, hierarchy=tree)
    torch.testing.assert_close(found, same)
    single = picture(channels=2, height=1, width=2)  # channels are parted last
    found = PartitionShap(picture_model).attribute(single)
    same = PartitionShap(picture_model).attribute(single, hierarchy=[[0, 2], [1, 3]])
    torch.testing.assert_close(found, same)


def test_masks_from_coarse_to_fine_are_one_tree():
    x = picture()
    coarse, fine = patches(x, (4, 3)), patches(x, (2, 2))
    found = PartitionShap(picture_model).attribute(x, hierarchy=[coarse, fine])
    cells = coarse * 6 + fine  # 2x1 cells at the border of the coarse ones
    tree = [[0, 1, 3, 4], [7, 8, 10, 11]]
    same = PartitionShap(picture_model).attribute(x, hierarchy=tree, feature_mask=cells)
    torch.testing.assert_close(found, same)
    # Each image may have segments of its own.
    other = patches(x, (2, 6)).expand(1, 1, 4, 6)
    both = torch.cat([coarse, other]), torch.cat([fine, patches(x, (1, 3))])
    found = PartitionShap(picture_model).attribute(x, hierarchy=both)
    for row in range(2):
        masks = [mask[row : row + 1] for mask in both]
        alone = PartitionShap(picture_model).attribute(x[row : row + 1], hierarchy=masks)
        torch.testing.assert_close(found[row : row + 1], alone)
    # Of more than four parts halves are made.
    many = PartitionShap(picture_model).attribute(x, hierarchy=[patches(x, (1, 1))], max_evals=4096)
    gain = picture_model(x) - picture_model(torch.zeros_like(x))
    torch.testing.assert_close(many.sum((1, 2, 3)), gain)


def test_trees_of_an_agglomeration():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 2)
    ).double()
    x = picture(2, 1, 6, 6)
    tree = ACD(net).agglomerate(x[:1], target=0, feature_mask=patches(x, 2))[0]
    found = PartitionShap(net).attribute(x, hierarchy=tree, target=0, max_evals=10**6)
    below = [list(node.children) for node in tree.nodes]
    nested = [expand(root.id, below) for root in tree.roots]
    same = PartitionShap(net).attribute(
        x, hierarchy=nested, target=0, feature_mask=tree.units[None, None], max_evals=10**6
    )
    torch.testing.assert_close(found, same)
    several = PartitionShap(net).attribute(x, hierarchy=[tree, tree], target=0, max_evals=10**6)
    torch.testing.assert_close(several, found)


def expand(node, below):
    return [expand(child, below) for child in below[node]] if below[node] else node


WRONG = [
    ([0, 1, [2, 3], 4], ValueError, "hierarchy must hold every player once, got player 5 0 times"),
    ([0, 1, [2, 3], 4, 5, 0], ValueError, "every player once, got player 0 2 times"),
    ([0, 1, [2, 3], 4, 6], ValueError, "the 6 players, with numbers from 0 to 5, got 6"),
    ([0, 1, [2, "a"], 4], TypeError, "hierarchy must hold player numbers and lists .* got 'a'"),
    ([0, [], 1], ValueError, "hierarchy must have players in every list, got an empty one"),
    ([], ValueError, "hierarchy must have players in every list, got an empty one"),
    ("balanced", TypeError, "hierarchy must be a nested list .*, got 'balanced'"),
    (None, ValueError, r"inputs must be images .*, got \[2, 6\], where no hierarchy is given"),
    (torch.zeros(3, 4), ValueError, r"shape \[5, 4\] as a linkage of 6 players, got \[3, 4\]"),
    (torch.full((5, 4), 9.0), ValueError, "hierarchy must join players and earlier joins"),
    (torch.full((5, 4), math.nan), ValueError, "hierarchy must be finite"),
    (torch.zeros(5, 4), ValueError, "hierarchy must hold every player once"),
    ([torch.zeros(1, 5)], ValueError, r"hierarchy\[0\] must"),
]


@pytest.mark.parametrize(("hierarchy", "error", "message"), WRONG)
def test_wrong_hierarchies_are_named_before_the_model_runs(hierarchy, error, message):
    def model(z):
        raise AssertionError("ran")

    with pytest.raises(error, match=message):
        PartitionShap(model).attribute(rows(2, 6), hierarchy=hierarchy)


def test_examples_that_do_not_fit_together_are_explained_in_turn(monkeypatch):
    net, x = mlp(8), rows(5, 8)
    options = {"hierarchy": balanced(list(range(8))), "max_evals": 20}
    with pytest.warns(PyxaiWarning, match="max_evals=20 .* takes 44 evaluations"):
        together = PartitionShap(net).attribute(x, **options)
    monkeypatch.setattr("pyxai.attribution.coalitions.partition_shap._KEPT", 4 * 20 * 2)
    with pytest.warns(PyxaiWarning, match="max_evals=20 .* takes 44 evaluations"):
        torch.testing.assert_close(PartitionShap(net).attribute(x, **options), together)
