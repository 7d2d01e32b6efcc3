"""Scores and values for the greedy loop, and what is remembered from one round to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai.attribution.paths.greedy_pig.averaged import averaged_cotangents
from pyxai.attribution.paths.greedy_pig.path_game import PathGame
from pyxai.greedy import path_nodes
from pyxai.ops.masks import pack_masks, unpack_masks

__all__ = ["Scorer"]


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
        self._known_masks: Tensor | None = None  # [batch, n_words], of what is remembered
        self._known: Tensor | None = None  # [batch, n_outputs]
        self._full: Tensor | None = None  # [batch, n_outputs]
        self._end_scores: Tensor | None = None  # [batch, n_players]

    def score(self, selected: Tensor, examples: Tensor) -> Tensor:
        """Return the path integrated gradients of all players, for `greedy_rounds`."""
        game = self._of(examples)
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
        rows = torch.unique_consecutive(examples)
        game = self._of(rows)
        masks = selected.view(len(rows), len(examples) // len(rows), -1)
        outputs = game.outputs(masks, logits=self.softmax_aware)
        self._remember(rows, masks, outputs)
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
        if not torch.equal(examples, self._now_examples):
            self._now, self._now_examples = self.game.take(examples), examples
        return self._now

    def _integrate(
        self, game: PathGame, selected: Tensor, examples: Tensor, n_nodes: int
    ) -> Tensor:
        nodes, weights = path_nodes(self.rule, n_nodes)
        if self.softmax_aware:
            outputs = self._along(game, selected, examples, nodes)
            cotangents = averaged_cotangents(game.objective.of_outputs, nodes, weights, outputs)
            return game.scores(selected, nodes, weights, cotangents)
        if float(nodes[-1]) != 1 or len(nodes) == 1:
            return game.scores(selected, nodes, weights)
        # All paths end at the input, so the gradient there is taken once.
        if self._end_scores is None:
            nothing = torch.zeros_like(self._everyone).expand(self.game.n_examples, -1)
            self._end_scores = self.game.scores(
                nothing, torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
            )
        shown = unpack_masks(selected, game.players.n_players)
        end = self._end_scores[examples].masked_fill(shown, 0)
        return game.scores(selected, nodes[:-1], weights[:-1]) + float(weights[-1]) * end

    def _along(self, game: PathGame, selected: Tensor, examples: Tensor, nodes: Tensor) -> Tensor:
        """Return the model's outputs at 0, at the nodes and at 1, [batch, n_nodes + 2, n]."""
        start, end = self._ends(game, selected, examples)
        between = game.logits_along(selected, nodes)
        return torch.cat([start[:, None], between, end[:, None]], 1)

    def _gap(self, game: PathGame, scores: Tensor, selected: Tensor, examples: Tensor) -> Tensor:
        """Return by how much scores miss ``G([n]) - G(S)``, float64 [batch]."""
        shown = unpack_masks(selected, game.players.n_players)
        ends = torch.stack(self._ends(game, selected, examples), 1)
        worth = game.worth(ends, logits=self.softmax_aware).double()
        total = scores.double().masked_fill(shown, 0).sum(1)
        return total - (worth[:, 1] - worth[:, 0])

    def _ends(self, game: PathGame, selected: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs at the selections and at the inputs, [batch, n_outputs] each."""
        if self._full is None or self._known is None or self._known_masks is None:
            nothing = torch.zeros_like(self._everyone)
            masks = torch.stack([nothing, self._everyone], 1).expand(self.game.n_examples, -1, -1)
            everything = torch.arange(self.game.n_examples, device=selected.device)
            found = self.game.outputs(masks, logits=self.softmax_aware)
            self._remember(everything, masks, found)
        assert self._full is not None
        assert self._known is not None
        assert self._known_masks is not None
        stale = (self._known_masks[examples] != selected).any(1).nonzero()[:, 0]
        if stale.numel():
            masks = selected[stale][:, None]
            found = game.take(stale).outputs(masks, logits=self.softmax_aware)
            self._remember(examples[stale], masks, found)
        return self._known[examples], self._full[examples]

    def _remember(self, examples: Tensor, masks: Tensor, outputs: Tensor) -> None:
        """Keep the outputs of the first mask of each example; at first, of all players too.

        The loop asks for nothing and for all before anything else, and after each round for what
        is selected then, from where the next scores start.
        """
        if self._full is None:
            shape = (self.game.n_examples, outputs.shape[2])
            if len(examples) != shape[0] or bool((masks[:, -1] != self._everyone).any()):
                return
            self._full = outputs.new_empty(shape)
            self._known = outputs.new_empty(shape)
            self._known_masks = masks[:, 0].clone()
            self._full[examples] = outputs[:, -1]
        assert self._known is not None
        assert self._known_masks is not None
        self._known[examples], self._known_masks[examples] = outputs[:, 0], masks[:, 0]
