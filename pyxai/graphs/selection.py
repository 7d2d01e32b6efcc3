"""Rounds of path integrals on a graph game."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyxai.graphs.game import GraphGame
from pyxai.graphs.options import SelectionOptions
from pyxai.graphs.result import GraphExplanation
from pyxai.greedy import (
    greedy_rounds,
    path_nodes,
    round_sizes,
    selection_scores,
)
from pyxai.greedy.flat_scores import warn_of_flat_scores
from pyxai.greedy.schedule import is_adaptive
from pyxai.ops import unpack_masks

__all__ = ["select", "select_players"]


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
    TypeError
        If an option is of another kind.

    Warns
    -----
    PyxaiWarning
        If no player changes the output, or no score of the first round tells who is first.
    """
    options = SelectionOptions(
        rounds=rounds,
        method=method,
        n_steps=n_steps,
        absolute=absolute,
        scores=scores,
        epsilon=epsilon,
        shortlist=shortlist,
    )
    options.check_output(game.questions.output)
    return select(game, n_select, options)


def select(game: GraphGame, n_select: int | None, options: SelectionOptions) -> GraphExplanation:
    """Return what `select_players` does."""
    nodes, weights = path_nodes(options.method, options.n_steps)
    if not is_adaptive(options.rounds):
        round_sizes(options.rounds, game.n_players, n_select)  # complain before the model runs
    path = _Path(game, nodes, weights)
    found = greedy_rounds(
        path.score,
        game.n_examples,
        game.n_players,
        n_select=n_select,
        rounds=options.rounds,
        absolute=options.absolute,
        value=path.value,
        epsilon=options.epsilon,
        shortlist=options.shortlist,
        device=game.device,
    )
    assert found.values is not None
    assert found.still is not None
    assert found.flat is not None
    player = game.players.kind[:-1]
    warn_of_flat_scores(
        found.still, found.flat, player=player, names=_names(game), rule=options.method
    )
    by_player = selection_scores(found, options.scores)
    return GraphExplanation(
        scores=game.players.to_entries(by_player),
        player_scores=by_player,
        order=found.order,
        round_index=found.round_index,
        values=found.values,
        game=game,
        options=dict(vars(options)),
    )


def _names(game: GraphGame) -> Callable[[list[int]], str]:
    """Return what some questions are called."""

    def names(rows: list[int]) -> str:
        labels = [str(game.questions.nodes[row].tolist())[1:-1] for row in rows]
        return f"at node(s) {', '.join(labels)}"

    return names


class _Path:
    """Integrals of the gradient from a selection to the whole graph."""

    def __init__(self, game: GraphGame, nodes: Tensor, weights: Tensor) -> None:
        dtype = game.game.inputs[0].dtype
        self.game = game
        self.nodes = nodes.to(game.device, dtype)[:, None]  # [n_steps, 1]
        self.weights = weights.to(game.device, torch.float64)

    def score(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return ``sum_j weights_j dv/dw(1_S + t_j 1_rest)``, [active, n_players]."""
        shown = unpack_masks(selected, self.game.n_players)[:, None].to(self.nodes.dtype)
        points = shown + self.nodes * (1 - shown)
        gradients = self.game.gradients(points, examples).double()
        return torch.einsum("s,esp->ep", self.weights, gradients)

    def value(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return v(S) of masks [rows, n_words] of the examples of the rows."""
        owners, counts = torch.unique_consecutive(examples, return_counts=True)
        width = int(counts[0])
        return self.game.values(selected.view(len(owners), width, -1), owners).flatten()
