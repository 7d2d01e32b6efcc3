"""Rounds of path integrals on a graph game."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.graphs.game import GraphGame
from pyxai.graphs.questions import Output
from pyxai.graphs.result import GraphExplanation
from pyxai.greedy import (
    greedy_rounds,
    path_nodes,
    round_sizes,
    selection_scores,
)
from pyxai.greedy.divergence import check_epsilon
from pyxai.greedy.flat_scores import warn_of_flat_scores
from pyxai.greedy.options import RoundOptions
from pyxai.greedy.schedule import is_adaptive
from pyxai.ops import unpack_masks

__all__ = ["SelectionOptions", "select", "select_players"]


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


@dataclass(frozen=True)
class SelectionOptions:
    """How `select` goes about it; see `GraphExplainer`.

    Raises
    ------
    ValueError
        If an option is out of range, or two do not go together.
    TypeError
        If one is of another kind.
    """

    rounds: str | int | Sequence[int]
    method: str
    n_steps: int
    absolute: bool
    scores: str
    epsilon: float | None
    shortlist: int | None

    def __post_init__(self) -> None:
        check_choice("scores", self.scores, ("rank", "raw", "telescoped"))
        check_int("n_steps", self.n_steps, minimum=1)
        RoundOptions(self.rounds, self.absolute, self.epsilon, self.shortlist)
        path_nodes(self.method, self.n_steps)

    def check_output(self, output: Output) -> None:
        """Raise ``ValueError`` if rounds cannot stop early where this is what the game gives."""
        check_epsilon(self.epsilon, output)


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
