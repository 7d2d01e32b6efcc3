"""Rounds on small graphs: what they sum to, and what enumeration selects."""

from __future__ import annotations

import pytest
import torch
from graph_references import TwoLayers, node_features, random_graph, subsets

from pyxai.graphs import GraphGame, select_players

pytestmark = pytest.mark.usefixtures("one_thread")


def test_scores_of_one_round_are_complete():
    edge_index = random_graph(3)
    game = GraphGame(TwoLayers(), node_features(7), edge_index, weights_as="dense", node=0)
    found = select_players(
        game, rounds=[game.n_players], method="gausslegendre", n_steps=64, scores="raw"
    )
    rise = found.values[0, -1] - found.values[0, 0]
    torch.testing.assert_close(found.player_scores.sum(), rise)
    shared = select_players(game, scores="telescoped")
    torch.testing.assert_close(shared.player_scores.sum(), rise)
    # Both directions carry the score of their edge.
    torch.testing.assert_close(shared.scores.sum(), 2 * rise)


def best_of_size(game, size):
    """The largest value of a subset of so many players, by enumeration."""
    masks = subsets(game.n_players)
    masks = masks[masks.sum(1) == size]
    return float(game.values(masks)[0].max())


def test_edges_that_add_up_are_selected_as_enumeration_says():
    # Without a normalisation, and linear: each edge is worth what it carries.
    x = node_features(6, 1)
    edge_index = torch.tensor([[1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    game = GraphGame(
        lambda x, a: a @ x,
        x,
        edge_index,
        node=0,
        weights_as="dense",
        normalise="none",
        output="logit",
    )
    for rounds in (1, 2, "geometric", [5]):
        found = select_players(game, rounds=rounds)
        assert found.order[0].tolist() == x[1:, 0].argsort(descending=True).tolist()
        for size in range(1, 6):
            value = game.values(found.players(size)[:, None])[0, 0]
            assert float(value) == pytest.approx(best_of_size(game, size))


@pytest.mark.parametrize("degrees", ["renormalise", "frozen"])
def test_small_graphs_are_close_to_the_best_subsets(degrees):
    # What enumeration gains over nothing, greedy gains nine tenths of, over sizes, on each graph.
    for seed in range(8):
        gained = reached = 0.0
        edge_index = random_graph(seed, n_nodes=5, share=0.6)
        game = GraphGame(
            TwoLayers(),
            node_features(5),
            edge_index,
            weights_as="dense",
            degrees=degrees,
            output="probability",
        )
        found = select_players(game, rounds=1, n_steps=8, shortlist=game.n_players)
        for size in range(1, game.n_players):
            mask = found.players(size)[:, None]
            empty = float(game.values(torch.zeros(1, game.n_players, dtype=torch.bool))[0, 0])
            gained += float(game.values(mask)[0, 0]) - empty
            reached += best_of_size(game, size) - empty
        assert reached - 0.1 * abs(reached) <= gained <= reached + 1e-9, seed


def test_a_shortlist_of_all_is_exact_greedy_selection():
    edge_index = random_graph(3)
    game = GraphGame(TwoLayers(), node_features(7), edge_index, weights_as="dense", node=0)
    found = select_players(game, rounds=1, n_select=4, shortlist=game.n_players)
    chosen: list[int] = []
    for _ in range(4):
        left = [p for p in range(game.n_players) if p not in chosen]
        masks = torch.zeros(len(left), game.n_players, dtype=torch.bool)
        for row, player in enumerate(left):
            masks[row, [*chosen, player]] = True
        chosen.append(left[int(game.values(masks)[0].argmax())])
    assert found.order[0].tolist() == chosen
