"""What a selection on a graph gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._lazy import above
from pyxai.explanation import Explanation
from pyxai.graphs.game import GraphGame

__all__ = ["GraphExplanation"]


@dataclass(frozen=True, eq=False, repr=False)
class GraphExplanation:
    """Edges, or nodes, in the order in which they were selected, and what they are worth.

    Attributes
    ----------
    scores : Tensor, shape [batch, n_entries] or [batch, n_nodes]
        One row for each question; aligned with ``edge_index`` where edges play, so both directions
        of an undirected edge carry the score of the edge, and with the nodes where nodes play.
        Self loops, and nodes that are always kept, get 0.
    player_scores : Tensor, shape [batch, n_players]
        The same for each player once.
    order : Tensor, shape [batch, n_selected]
        int64 players, the first selected first.
    round_index : Tensor, shape [batch, n_selected]
        int64 round, from 0, in which each was selected.
    values : Tensor, shape [batch, n_rounds + 1]
        float64 value of the game with no player and after each round.
    game : GraphGame
        The question.
    method : str
        How the order was found.
    options : dict
        Options of the selection.

    See Also
    --------
    pyxai.metrics.graph_fidelity : how much of the model's predictions the first players keep.
    """

    scores: Tensor
    player_scores: Tensor
    order: Tensor
    round_index: Tensor
    values: Tensor
    game: GraphGame
    method: str = "greedy_pig"
    options: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.order)

    def __repr__(self) -> str:
        """Say in one line what this is."""
        players = self.game.players
        return (
            f"GraphExplanation({self.method}, {len(self)} question(s), {self.order.shape[1]} of "
            f"{players.n_players} {players.kind} ordered)"
        )

    @property
    def edge_index(self) -> Tensor:
        """Sources and targets of the entries, int64 [2, n_entries]."""
        return self.game.players.edge_index

    @property
    def explanation(self) -> Explanation:
        """The scores as a `pyxai.Explanation`, whose inputs are the weights 1 of what plays."""
        scores = self.scores
        questions = self.game.questions
        nodes = [each.tolist() for each in questions.nodes]
        return Explanation(
            scores,
            torch.ones_like(scores),
            baselines=0.0,
            method=self.method,
            options={**self.options, "nodes": nodes},
            outputs=torch.stack([questions(questions.full, row) for row in range(len(self))]),
            feature_names=self._names(),
        )

    def players(self, count: int) -> Tensor:
        """Return which players are the first ``count``, bool [batch, n_players].

        Raises
        ------
        ValueError
            If fewer were ordered.
        """
        check_int("count", count, minimum=0)
        if count > self.order.shape[1]:
            raise ValueError(f"count must be at most {self.order.shape[1]}, got {count}")
        shape = len(self), self.game.n_players
        shown = torch.zeros(shape, dtype=torch.bool, device=self.order.device)
        return shown.scatter_(1, self.order[:, :count], True)

    def kept(self, count: int) -> Tensor:
        """Return which entries of ``edge_index`` stay with the first ``count`` players.

        Parameters
        ----------
        count : int
            Of the players that were ordered.

        Returns
        -------
        Tensor, shape [batch, n_entries]
            bool; ``edge_index[:, kept[0]]`` is the compressed graph.
        """
        return self.game.players.entry_weights(self.players(count).float()) > 0

    def curve(self, measure: str = "agreement", **options: Any) -> Any:
        """Return what `pyxai.metrics.graph_fidelity` says of this order, as a curve.

        Parameters
        ----------
        measure : str
            ``"agreement"``, ``"log_probability"`` or ``"accuracy"``.
        **options
            Of that function.

        Returns
        -------
        Curve
        """
        return above("metrics").graph_fidelity(self, measure=measure, **options)

    def plot(self, **options: Any) -> Any:
        """Draw the graph with `pyxai.plot.graph` and return the matplotlib Axes."""
        return above("plot").graph(self, **options)

    def _names(self) -> list[str]:
        players = self.game.players
        if players.kind == "nodes":
            return [f"node {node}" for node in range(players.n_nodes)]
        return [f"{source}->{target}" for source, target in players.edge_index.T.tolist()]
