"""The loop behind every greedy selection: ask for scores, take the best players, ask again.

Whose players they are is the caller's: pixels of an image, columns of a table, edges of a graph::

    result = greedy_rounds(score, n_examples, n_players, rounds="geometric")
    result.order                            # [batch, n_players], the best first
    selection_scores(result, "rank")        # [batch, n_players], a number for each player

May import `pyxai.ops` and what is below it. Start with `rounds`.
"""

from __future__ import annotations

from pyxai.greedy.players import Score, Value
from pyxai.greedy.result import GreedyRounds
from pyxai.greedy.rounds import greedy_rounds
from pyxai.greedy.schedule import path_nodes, round_sizes
from pyxai.greedy.scores import selection_scores

__all__ = [
    "GreedyRounds",
    "Score",
    "Value",
    "greedy_rounds",
    "path_nodes",
    "round_sizes",
    "selection_scores",
]
