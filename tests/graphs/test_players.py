"""Which entries of a graph are one player."""

from __future__ import annotations

import torch

from pyxai.graphs import graph_players


def test_both_directions_of_an_edge_are_one_player():
    edge_index = torch.tensor([[0, 2, 1, 1, 2, 2, 0], [1, 1, 0, 2, 2, 1, 1]])
    players = graph_players(edge_index, 3)
    # (0, 1) and (1, 2) in the order of appearance; the loop at 2 is kept; (0, 1) is given twice.
    assert players.undirected
    assert players.n_players == 2
    assert players.owners.tolist() == [0, 1, 0, 1, 2, 1, 0]
    assert players.ends.tolist() == [[0, 2], [1, 1]]
    weights = torch.tensor([[0.25, 0.5]])
    assert players.entry_weights(weights).tolist() == [[0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25]]
    scores = players.to_entries(torch.tensor([[3.0, 7.0]]))
    assert scores.tolist() == [[3.0, 7.0, 3.0, 7.0, 0.0, 7.0, 3.0]]
    assert players.to_players(scores).tolist() == [[3.0, 7.0]]


def test_one_way_entries_play_alone():
    players = graph_players(torch.tensor([[0, 1, 1], [1, 0, 2]]), 3)
    assert not players.undirected
    assert players.n_players == 3
    both = graph_players(torch.tensor([[0, 1], [1, 0]]), 2, undirected=False)
    assert both.n_players == 2
    assert both.owners.tolist() == [0, 1]
