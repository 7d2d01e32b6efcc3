"""Rounds of path integrals on a graph game."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai._errors import warn
from pyxai.graphs.game import GraphGame
from pyxai.graphs.result import GraphExplanation
from pyxai.greedy import (
    GreedyRounds,
    greedy_rounds,
    path_nodes,
    round_sizes,
    selection_scores,
)
from pyxai.greedy.schedule import is_adaptive
from pyxai.ops import unpack_masks

__all__ = ["select_players"]


def select_players(
    game: GraphGame,
    *,
    n_select: int | None = None,
    rounds: str | int | Sequence[int] = "geometric",
    method: str = "midpoint",
    n_steps: int = 4,
    absolute: bool = False,
    scores: str = "rank",
    epsilon: float | None = None,
    shortlist: int | None = None,
) -> GraphExplanation:
    """Select players of a graph game in rounds, by path-integrated gradients.

    Parameters
    ----------
    game : GraphGame
        The question.
    n_select, rounds, method, n_steps, absolute, scores, epsilon, shortlist
        See `GraphExplainer`.

    Returns
    -------
    GraphExplanation

    Raises
    ------
    ValueError
        If an option does not fit, more rounds than players among them.
    """
    check_choice("scores", scores, ("rank", "raw", "telescoped"))
    check_int("n_steps", n_steps, minimum=1)
    nodes, weights = path_nodes(method, n_steps)
    if not is_adaptive(rounds):
        round_sizes(rounds, game.n_players, n_select)  # complain before the model runs
    path = _Path(game, nodes, weights)
    found = greedy_rounds(
        path.score,
        game.n_examples,
        game.n_players,
        n_select=n_select,
        rounds=rounds,
        absolute=absolute,
        value=path.value,
        epsilon=epsilon,
        shortlist=shortlist,
        device=game.device,
    )
    assert found.values is not None
    _warn_of_silence(game, found, path.flat)
    by_player = selection_scores(found, scores)
    options = {"rounds": rounds, "method": method, "n_steps": n_steps, "scores": scores}
    return GraphExplanation(
        scores=game.players.to_entries(by_player),
        player_scores=by_player,
        order=found.order,
        round_index=found.round_index,
        values=found.values,
        game=game,
        options={**options, "absolute": absolute, "epsilon": epsilon, "shortlist": shortlist},
    )


def _warn_of_silence(game: GraphGame, found: GreedyRounds, flat: Tensor | None) -> None:
    """Warn of questions that no player has anything to do with, and of gradients that are 0."""
    assert found.values is not None
    still = (found.raw == 0).all(1) & (found.values == found.values[:, :1]).all(1)
    if flat is not None and bool((flat := flat & ~still).any()):
        asked = [game.questions.nodes[int(row)].tolist() for row in flat.nonzero()[:, 0]]
        warn(
            f"all scores of the first round are 0 at node(s) "
            f"{', '.join(str(nodes)[1:-1] for nodes in asked)}, whose first "
            f"{game.players.kind[:-1]} is that of the lowest number; where gradients vanish "
            'without any, method="midpoint" looks further along the path'
        )
    if bool(still.any()):
        asked = [game.questions.nodes[int(row)].tolist() for row in still.nonzero()[:, 0]]
        warn(
            f"no {game.players.kind[:-1]} changes the output at node(s) "
            f"{', '.join(str(nodes)[1:-1] for nodes in asked)}; their order means nothing"
        )


class _Path:
    """Integrals of the gradient from a selection to the whole graph."""

    def __init__(self, game: GraphGame, nodes: Tensor, weights: Tensor) -> None:
        dtype = game.game.inputs[0].dtype
        self.game = game
        self.nodes = nodes.to(game.device, dtype)[:, None]  # [n_steps, 1]
        self.weights = weights.to(game.device, torch.float64)
        self.flat: Tensor | None = None  # [batch], where all scores of the first round are 0

    def score(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return ``sum_j weights_j dv/dw(1_S + t_j 1_rest)``, [active, n_players]."""
        shown = unpack_masks(selected, self.game.n_players)[:, None].to(self.nodes.dtype)
        points = shown + self.nodes * (1 - shown)
        gradients = self.game.gradients(points, examples).double()
        scores = torch.einsum("s,esp->ep", self.weights, gradients)
        if self.flat is None:
            self.flat = (scores == 0).all(1)
        return scores

    def value(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return v(S) of masks [rows, n_words] of the examples of the rows."""
        asked, counts = torch.unique_consecutive(examples, return_counts=True)
        width = int(counts[0])
        return self.game.values(selected.view(len(asked), width, -1), asked).flatten()
