"""Scores and values for the greedy loop, and what is remembered from one round to the next."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai.attribution.paths.greedy_pig.averaged import averaged_cotangents, cell_mixing
from pyxai.attribution.paths.greedy_pig.path_game import PathGame
from pyxai.greedy import path_nodes
from pyxai.ops.masks import pack_masks, unpack_masks

__all__ = ["Scorer"]


class _Path(NamedTuple):
    """A rule with some number of nodes, where the inputs are: copied there once a call."""

    nodes: Tensor
    weights: Tensor
    end_weight: float | None
    """Weight of the last node, if that is not the only one and is the input."""
    mixing: Tensor | None
    """See `averaged_cotangents`."""


class Scorer:
    """Path integrated gradients from any selection, with nothing computed twice.

    Parameters
    ----------
    game : PathGame
        All examples of the call.
    rule, n_nodes
        See `path_nodes`.
    softmax_aware : bool
        Whether the gradient of G with respect to the outputs is averaged between the nodes.
    tolerance : float or None
        Doubles the nodes of an example until its scores sum to ``G([n]) - G(S)`` within this.
    max_nodes : int
        Where doubling ends.
    """

    def __init__(
        self,
        game: PathGame,
        rule: str,
        n_nodes: int,
        *,
        softmax_aware: bool,
        tolerance: float | None,
        max_nodes: int,
    ) -> None:
        self.game, self.rule, self.n_nodes = game, rule, n_nodes
        self.softmax_aware, self.tolerance, self.max_nodes = softmax_aware, tolerance, max_nodes
        self.missed = 0
        self._now = game
        self._now_examples = torch.arange(game.n_examples, device=game.inputs[0].device)
        everyone = torch.ones(
            1, game.players.n_players, dtype=torch.bool, device=game.inputs[0].device
        )
        self._everyone = pack_masks(everyone)
        self._paths: dict[int, _Path] = {}
        self._known: Tensor | None = None  # [batch, n_outputs], at the selections
        self._full: Tensor | None = None  # [batch, n_outputs], at the inputs
        self._is_known = False  # whether players have joined the selections since
        self._end_scores: Tensor | None = None  # [batch, n_players]

    def score(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return the path integrated gradients of all players, for `greedy_rounds`."""
        game = self._of(examples)
        if self.softmax_aware or self.tolerance is not None:
            self._know_ends(game, selected, examples)
        scores = self._integrate(game, selected, examples, self.n_nodes)
        if self.tolerance is None:
            return scores
        gap = self._gap(game, scores, selected, examples)
        n_nodes = len(path_nodes(self.rule, self.n_nodes)[0])
        while bool((missed := gap.abs() > self.tolerance).any()):
            if 2 * n_nodes > self.max_nodes:
                self.missed += int(missed.sum())
                break
            n_nodes *= 2
            rows = missed.nonzero()[:, 0]
            some, its = game.take(rows), (selected[rows], examples[rows])
            scores[rows] = self._integrate(some, *its, n_nodes)
            gap[rows] = self._gap(some, scores[rows], *its)
        return scores

    def value(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return G(S), for `greedy_rounds`."""
        # Asked of the examples that scores were asked of last, at first of all.
        rows, game = self._now_examples, self._now
        masks = selected.view(len(rows), len(examples) // len(rows), -1)
        outputs = game.outputs(masks, logits=self.softmax_aware)
        self._remember(rows, outputs)
        return game.worth(outputs, logits=self.softmax_aware).flatten()

    def warn(self) -> None:
        """Warn if the tolerance was missed."""
        if self.missed:
            warn(
                f"the scores of {self.missed} round(s) miss the tolerance of {self.tolerance:g} "
                f"with max_steps={self.max_nodes} nodes; raise it, or look for jumps of the model "
                "on the path",
            )

    def _of(self, examples: Tensor) -> PathGame:
        """Return the game of some examples; it is kept while they stay the same."""
        if examples is not self._now_examples:
            self._now, self._now_examples = self.game.take(examples), examples
        return self._now

    def _integrate(
        self, game: PathGame, selected: Tensor, examples: Tensor, n_nodes: int
    ) -> Tensor:
        path = self._path(n_nodes)
        if path.mixing is not None:
            outputs = self._along(game, selected, examples, path.nodes)
            cotangents = averaged_cotangents(game.objective.of_outputs, path.mixing, outputs)
            return game.scores(selected, path.nodes, path.weights, cotangents)
        if path.end_weight is None:
            return game.scores(selected, path.nodes, path.weights)
        # All paths end at the input, so the gradient there is taken once.
        if self._end_scores is None:
            nothing = torch.zeros_like(self._everyone).expand(self.game.n_examples, -1)
            once = torch.ones_like(path.nodes[:1])
            self._end_scores = self.game.scores(nothing, once, once)
        shown = unpack_masks(selected, game.players.n_players)
        end = self._end_scores[examples].masked_fill(shown, 0)
        return game.scores(selected, path.nodes[:-1], path.weights[:-1]) + path.end_weight * end

    def _path(self, n_nodes: int) -> _Path:
        if n_nodes not in self._paths:
            nodes, weights = path_nodes(self.rule, n_nodes)
            device = self._everyone.device
            mixing = cell_mixing(nodes, weights).to(device) if self.softmax_aware else None
            ends = len(nodes) > 1 and float(nodes[-1]) == 1
            end_weight = float(weights[-1]) if ends else None
            self._paths[n_nodes] = _Path(nodes.to(device), weights.to(device), end_weight, mixing)
        return self._paths[n_nodes]

    def _along(self, game: PathGame, selected: Tensor, examples: Tensor, nodes: Tensor) -> Tensor:
        """Return the model's outputs at 0, at the nodes and at 1, [batch, n_nodes + 2, n]."""
        start, end = self._ends(examples)
        between = game.logits_along(selected, nodes)
        return torch.cat([start[:, None], between, end[:, None]], 1)

    def _gap(self, game: PathGame, scores: Tensor, selected: Tensor, examples: Tensor) -> Tensor:
        """Return by how much scores miss ``G([n]) - G(S)``, float64 [batch]."""
        shown = unpack_masks(selected, game.players.n_players)
        ends = torch.stack(self._ends(examples), 1)
        worth = game.worth(ends, logits=self.softmax_aware).double()
        total = scores.double().masked_fill(shown, 0).sum(1)
        return total - (worth[:, 1] - worth[:, 0])

    def _ends(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs at the selections and at the inputs, [batch, n_outputs] each."""
        assert self._full is not None
        assert self._known is not None
        return self._known[examples], self._full[examples]

    def _know_ends(self, game: PathGame, selected: Tensor, examples: Tensor) -> None:
        """Have the outputs at hand that paths start and end with.

        Where the loop asks for values, it has asked for those of the selections before.
        """
        if self._full is None:
            nothing = torch.zeros_like(self._everyone)
            masks = torch.stack([nothing, self._everyone], 1).expand(self.game.n_examples, -1, -1)
            found = self.game.outputs(masks, logits=self.softmax_aware)
            self._remember(examples, found)
        elif not self._is_known:
            found = game.outputs(selected[:, None], logits=self.softmax_aware)
            self._remember(examples, found)
        self._is_known = False

    def _remember(self, examples: Tensor, outputs: Tensor) -> None:
        """Keep the outputs of the first mask of each example; at first, of all players too.

        The loop asks for nothing and for all before anything else, and after each round for what
        is selected then, from where the next scores start.
        """
        if self._known is None:
            self._known, self._full = outputs[:, 0].clone(), outputs[:, -1].clone()
        else:
            self._known[examples] = outputs[:, 0]
        self._is_known = True
