"""The game of a model whose affine first layers are run once a round, not at every node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from pyxai.attribution.paths.greedy_pig.objective import Objective
from pyxai.attribution.paths.greedy_pig.path_game import PathGame
from pyxai.ops.path_points import path_points
from pyxai.propagation.split_model import Ends, SplitModel, split_model

__all__ = ["PrefixGame", "prefix_game"]


@dataclass(frozen=True)
class PrefixGame(PathGame):
    """A `PathGame` that walks on what the first layers give, see `SplitModel`.

    Attributes
    ----------
    split : SplitModel
    rest : Objective
        That of the layers after the prefix, as a function of their values z.
    ends : Ends
        z at the inputs.
    """

    split: SplitModel
    rest: Objective
    ends: Ends

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
            ends=self.split.ends(some.inputs[0], some.objective.arguments),
        )

    def logits_along(self, selected: Tensor, nodes: Tensor) -> Tensor:
        """Return all outputs of the model on the paths, [batch, n_nodes, n_outputs]."""
        starts = self.split.shown(
            self.inputs[0],
            self.baselines[0],
            self.players.maps[0],
            selected,
            self.objective.arguments,
        )

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(
                path_points(end[examples], start[examples], nodes[repeats])
                .transpose(0, 1)
                .flatten(0, 1)
                for end, start in zip(self.ends.values, starts, strict=True)
            )

        found = self.rest.logits_runner().values(build, self.n_examples, len(nodes))
        return found.reshape(self.n_examples, len(nodes), -1)

    def scores(
        self, selected: Tensor, nodes: Tensor, weights: Tensor, cotangents: Tensor | None = None
    ) -> Tensor:
        """Return what `PathGame.scores` does."""
        return self.split.path_sums(
            self.rest.runner() if cotangents is None else self.rest.product_runner(),
            self.inputs[0],
            self.baselines[0],
            self.players.maps[0],
            selected,
            self.objective.arguments,
            nodes,
            weights,
            n_players=self.players.n_players,
            ends=self.ends,
            cotangents=cotangents,
        )


def prefix_game(game: PathGame) -> PrefixGame:
    """Return the same game with the model's affine first layers set apart.

    Raises as `split_model` does.
    """
    objective = game.objective
    split = split_model(objective.forms.model, game.inputs, objective.arguments)
    return PrefixGame(
        objective,
        game.inputs,
        game.baselines,
        game.players,
        split,
        objective.of_model(split.rest(), split.n_values),
        split.ends(game.inputs[0], objective.arguments),
    )
