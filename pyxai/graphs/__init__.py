"""Which edges or nodes of a graph keep what a model says: Greedy PIG on edge weights in [0, 1].

For any graph neural network that takes edge weights or an adjacency, and, with torch_geometric
installed, for its modules::

    explainer = GraphExplainer(model)                       # model(x, edge_index, edge_weight)
    result = explainer.explain_node(x, edge_index, node=7)  # one prediction
    result = explainer.compress(x, edge_index)              # all of them
    result.scores, result.order, result.kept(count), result.curve()

A `GraphGame` is an ordinary `pyxai.Game` whose players are edges, so that any other method can ask
it too.

May import `pyxai.methods`, `pyxai.greedy`, games and what is below them. Start with `explainer`.
"""

from __future__ import annotations

from pyxai.graphs.edge_weights.adjacency import normalised_weights, weighted_adjacency
from pyxai.graphs.explainer import GraphExplainer
from pyxai.graphs.game import GraphGame
from pyxai.graphs.layout import graph_layout
from pyxai.graphs.players import GraphPlayers, graph_players
from pyxai.graphs.pyg import pyg_algorithm
from pyxai.graphs.result import GraphExplanation
from pyxai.graphs.selection import select_players

__all__ = [
    "GraphExplainer",
    "GraphExplanation",
    "GraphGame",
    "GraphPlayers",
    "graph_layout",
    "graph_players",
    "normalised_weights",
    "pyg_algorithm",
    "select_players",
    "weighted_adjacency",
]
