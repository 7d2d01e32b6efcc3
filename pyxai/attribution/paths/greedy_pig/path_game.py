"""The game behind a call: values of subsets, and gradients on the paths that lead from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyxai._inputs import Players, flat_features
from pyxai.attribution.paths.greedy_pig.objective import Objective
from pyxai.explanation.rows import take_baselines
from pyxai.game.path import path_attributions, rows_of
from pyxai.game.players import player_patterns, present_players, renumbered
from pyxai.game.rows import GameRows
from pyxai.ops.path_points import path_points
from pyxai.ops.player_sum import player_sum

__all__ = ["PathGame"]


@dataclass(frozen=True)
class PathGame:
    """Some examples of a call; masks are packed, int32.

    Attributes
    ----------
    objective : Objective
    inputs : tuple of Tensor, shape [batch, *features] each
    baselines : tuple of float or Tensor, shape [1 or batch, *features]
    players : Players
    """

    objective: Objective
    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor | float, ...]
    players: Players

    @property
    def n_examples(self) -> int:
        """How many examples there are."""
        return self.inputs[0].shape[0]

    def take(self, rows: Tensor) -> PathGame:
        """Return the game of some of the examples; players keep their numbers."""
        if len(rows) == self.n_examples:
            return self
        maps = tuple(
            owners[rows] if owners is not None and owners.shape[0] > 1 else owners
            for owners in self.players.maps
        )
        return PathGame(
            self.objective.take(rows, self.n_examples),
            tuple(tensor[rows] for tensor in self.inputs),
            take_baselines(self.baselines, self.inputs, rows),
            Players(maps, self.players.ids),
        )

    def by_players(self) -> list[tuple[Tensor, PathGame]]:
        """Return games of the examples that have the same players, and which examples these are.

        Each game numbers its players anew: what a round takes depends on how many there are.
        """
        maps = self.players.maps
        if all(owners is None or owners.shape[0] == 1 for owners in maps):
            return [(torch.arange(self.n_examples, device=self.inputs[0].device), self)]
        groups = player_patterns(present_players(maps, self.players.n_players, self.inputs))
        games = ((rows, self.take(rows), some) for rows, some in groups)
        return [(rows, replace(g, players=renumbered(g.players, some))) for rows, g, some in games]

    def outputs(self, masks: Tensor, *, logits: bool) -> Tensor:
        """Return what the model gives for masks [batch, n_masks, n_words].

        Parameters
        ----------
        masks : Tensor
            Which players are shown.
        logits : bool
            Whether to return all of the model's outputs, of which `worth` makes G; else G itself.

        Returns
        -------
        Tensor, shape [batch, n_masks, n_outputs]
        """
        names = torch.arange(self.n_examples)  # nothing is drawn
        rows = GameRows(self.inputs, self.players, self.baselines, None, 0, names)
        runner = self.objective.logits_runner() if logits else self.objective.runner()
        found = runner.values(rows.masked(masks), self.n_examples, masks.shape[1])
        if found.shape[0] != self.n_examples:
            raise ValueError(
                f"model must return one row for each of {self.n_examples} examples, got one "
                "number for all of them"
            )
        return found.reshape(*masks.shape[:2], -1)

    def logits_along(self, selected: Tensor, nodes: Tensor) -> Tensor:
        """Return all outputs of the model on the paths, [batch, n_nodes, n_outputs]."""

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(
                path_points(
                    tensor[examples],
                    rows_of(baseline, examples),
                    nodes[repeats],
                    rows_of(owners, examples),
                    selected[examples],
                )
                .transpose(0, 1)
                .flatten(0, 1)
                for tensor, baseline, owners in zip(
                    self.inputs, self.baselines, self.players.maps, strict=True
                )
            )

        runner = self.objective.logits_runner()
        found = runner.values(build, self.n_examples, len(nodes))
        return found.reshape(self.n_examples, len(nodes), -1)

    def worth(self, outputs: Tensor, *, logits: bool) -> Tensor:
        """Return G from what `outputs` gave, [batch, n_masks, n_outputs] -> [batch, n_masks]."""
        return self.objective.of_outputs(outputs) if logits else outputs[..., 0]

    def scores(
        self, selected: Tensor, nodes: Tensor, weights: Tensor, cotangents: Tensor | None = None
    ) -> Tensor:
        """Return ``sum_s weights[s] dg/dw_i (1_S + nodes[s] 1_rest)`` of each open player i.

        Parameters
        ----------
        selected : Tensor, shape [batch, n_words]
            S, whose players get 0.
        nodes, weights : Tensor, shape [n_nodes]
            float64, of a rule on [0, 1].
        cotangents : Tensor, shape [n_nodes, batch, n_outputs], optional
            What the model's outputs are multiplied by at each node, in place of G's own gradient.

        Returns
        -------
        Tensor, shape [batch, n_players]
            float64 for float64 inputs and float32 otherwise.
        """
        objective = self.objective
        features = path_attributions(
            objective.runner() if cotangents is None else objective.product_runner(),
            self.inputs,
            self.baselines,
            nodes,
            weights,
            multiply_by_inputs=True,
            players=self.players.maps,
            selected=selected,
            cotangents=cotangents,
        )
        return self.player_sums(features)

    def player_sums(self, features: tuple[Tensor, ...]) -> Tensor:
        """Add up what the features of each player have, over all inputs; [batch, n_players]."""
        wide = any(part.dtype == torch.float64 for part in features)
        total = torch.zeros(
            self.n_examples,
            self.players.n_players,
            dtype=torch.float64 if wide else torch.float32,
            device=features[0].device,
        )
        for part, owners in zip(features, self.players.maps, strict=True):
            player_sum(part.to(total.dtype), owners, n_players=self.players.n_players, out=total)
        return total

    def to_features(self, scores: Tensor) -> tuple[Tensor, ...]:
        """Give every feature the score of its player, [batch, *features] each."""
        spread = []
        for tensor, owners in zip(self.inputs, self.players.maps, strict=True):
            found = scores
            if owners is not None:
                index = flat_features(owners).long().expand(self.n_examples, -1)
                found = scores.gather(1, index)
            spread.append(found.view(self.n_examples, *tensor.shape[1:]))
        return tuple(spread)
