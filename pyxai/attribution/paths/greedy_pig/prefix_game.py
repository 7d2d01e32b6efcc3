"""The game of a model whose first layer is run once a round, not at every node."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyxai.attribution.paths.greedy_pig.objective import Objective
from pyxai.attribution.paths.greedy_pig.path_game import PathGame
from pyxai.game.linear_path import Ends, LinearPaths, linear_paths
from pyxai.ops.path_points import path_points
from pyxai.runner.split import ModelChanged

__all__ = ["PrefixGame", "prefix_game"]


@dataclass(frozen=True)
class PrefixGame(PathGame):
    """A `PathGame` that walks on what the first layer returns, see `LinearPaths`.

    Attributes
    ----------
    paths : LinearPaths
    rest : Objective
        That of the rest of the model, as a function of what the first layer returns.
    """

    paths: LinearPaths
    rest: Objective

    @functools.cached_property
    def ends(self) -> Ends:
        """What the first layer returns for the inputs."""
        return self.paths.ends(self.inputs[0])

    def take(self, rows: Tensor) -> PathGame:
        """Return the game of some of the examples; players keep their numbers."""
        if len(rows) == self.n_examples:
            return self
        some = super().take(rows)
        return replace(
            self,
            objective=some.objective,
            inputs=some.inputs,
            baselines=some.baselines,
            players=some.players,
            rest=self.rest.take(rows, self.n_examples),
        )

    def logits_along(self, selected: Tensor, nodes: Tensor) -> Tensor:
        """Return all outputs of the model on the paths, [batch, n_nodes, n_outputs]."""
        blocks = self.paths.blocks(self.n_examples)
        if len(blocks) > 1:
            return torch.cat([self._some(b).logits_along(selected[b], nodes) for b in blocks])
        owners = self.players.maps[0]
        end = self.ends.after
        start = self.paths.starts(self.inputs[0], self.baselines[0], owners, selected)

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            points = path_points(end[examples], start[examples], nodes[repeats])
            return (points.transpose(0, 1).flatten(0, 1),)

        try:
            found = self.rest.logits_runner().values(build, self.n_examples, len(nodes))
        except ModelChanged:
            return super().logits_along(selected, nodes)
        return found.reshape(self.n_examples, len(nodes), -1)

    def scores(
        self, selected: Tensor, nodes: Tensor, weights: Tensor, cotangents: Tensor | None = None
    ) -> Tensor:
        """Return what `PathGame.scores` does."""
        blocks = self.paths.blocks(self.n_examples)
        if len(blocks) > 1:
            factors = [None if cotangents is None else cotangents[:, block] for block in blocks]
            parts = [
                self._some(block).scores(selected[block], nodes, weights, given)
                for block, given in zip(blocks, factors, strict=True)
            ]
            return torch.cat(parts)
        try:
            return self.paths.sums(
                self.rest.runner() if cotangents is None else self.rest.product_runner(),
                self.inputs[0],
                self.baselines[0],
                self.players.maps[0],
                selected,
                nodes,
                weights,
                n_players=self.players.n_players,
                ends=self.ends,
                cotangents=cotangents,
            )
        except ModelChanged:
            return super().scores(selected, nodes, weights, cotangents)

    def _some(self, examples: slice) -> PathGame:
        rows = torch.arange(examples.start, examples.stop, device=self.inputs[0].device)
        return self.take(rows)


def prefix_game(game: PathGame, n_rounds: int, n_nodes: int) -> PathGame:
    """Return the same game with the model's first layer set apart, where that is exact and pays.

    Parameters
    ----------
    game : PathGame
    n_rounds, n_nodes : int
        How many paths are walked to each input, and how many gradients are taken on each.
    """
    objective = game.objective
    paths = linear_paths(
        objective.forms.model,
        game.inputs,
        game.baselines,
        objective.arguments,
        n_rounds=n_rounds,
        n_nodes=n_nodes,
    )
    if paths is None:
        return game
    return PrefixGame(
        objective,
        game.inputs,
        game.baselines,
        game.players,
        paths,
        objective.of_model(paths.split, 1),
    )
