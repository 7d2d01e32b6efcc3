"""The game of a model whose affine first layers are run once a round, not at every node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.attribution._path import path_attributions
from pyxai.attribution._row_passes import row_passes, take_rows
from pyxai.attribution.greedy_pig.objective import Objective
from pyxai.attribution.greedy_pig.path_game import PathGame
from pyxai.graph import AffinePrefix, trace
from pyxai.ops.path_accumulate import path_accumulate
from pyxai.ops.path_points import path_points

__all__ = ["PrefixGame", "prefix_game"]


@dataclass(frozen=True)
class PrefixGame(PathGame):
    """A `PathGame` that walks on what the first layers give.

    Points of a path are affine in t, and so are their values z after affine layers. So z at both
    ends serves all nodes; and since going back through these layers is linear, it is done once,
    with the weighted mean of the gradients at the nodes.

    Attributes
    ----------
    prefix : AffinePrefix
    rest : Objective
        That of the layers after the prefix, as a function of z.
    ends : tuple of Tensor, shape [batch, ...] each
        z at the inputs.
    """

    prefix: AffinePrefix
    rest: Objective
    ends: tuple[Tensor, ...]

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
            ends=tuple(end[rows] for end in self.ends),
        )

    def logits_along(self, selected: Tensor, nodes: Tensor) -> Tensor:
        """Return all outputs of the model on the paths, [batch, n_nodes, n_outputs]."""
        starts = self._after_prefix(self._shown(selected))

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(
                path_points(end[examples], start[examples], nodes[repeats])
                .transpose(0, 1)
                .flatten(0, 1)
                for end, start in zip(self.ends, starts, strict=True)
            )

        found = self.rest.logits_runner().values(build, self.n_examples, len(nodes))
        return found.reshape(self.n_examples, len(nodes), -1)

    def scores(
        self, selected: Tensor, nodes: Tensor, weights: Tensor, cotangents: Tensor | None = None
    ) -> Tensor:
        """Return what `PathGame.scores` does."""
        rest = self.rest
        means = path_attributions(
            rest.runner() if cotangents is None else rest.product_runner(),
            self.ends,
            self._after_prefix(self._shown(selected)),
            nodes,
            weights,
            multiply_by_inputs=False,
            cotangents=cotangents,
        )
        return path_accumulate(
            self._before_prefix(means)[None],
            torch.ones(1, dtype=torch.float64),
            self.inputs[0],
            self.baselines[0],
            self.players.maps[0],
            selected,
            n_players=self.players.n_players,
        )

    def _shown(self, selected: Tensor) -> Tensor:
        """Return the inputs with the selected players only."""
        return path_points(
            self.inputs[0], self.baselines[0], [0.0], self.players.maps[0], selected
        )[0]

    def _after_prefix(self, x: Tensor) -> tuple[Tensor, ...]:
        def work(examples: slice) -> tuple[Tensor, ...]:
            return self._run(x[examples], examples)

        with torch.no_grad():
            return tuple(row_passes(self.prefix.graph, (x,), 1, work))

    def _before_prefix(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient at the inputs from that after the prefix."""
        x = self.inputs[0]

        def work(examples: slice) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                leaf = x[examples].detach().requires_grad_()
                values = self._run(leaf, examples)
                given = [g[examples].to(v.dtype) for g, v in zip(gradients, values, strict=True)]
                return torch.autograd.grad(values, leaf, given)

        found: Tensor = row_passes(self.prefix.graph, (x,), 2, work)[0]
        return found

    def _run(self, x: Tensor, examples: slice) -> tuple[Tensor, ...]:
        arguments = take_rows(self.objective.arguments, examples, self.n_examples)
        return tuple(self.prefix.apply((x,), arguments).values())


def prefix_game(game: PathGame) -> PrefixGame:
    """Return the same game with the model's affine first layers set apart.

    Raises
    ------
    TypeError
        If the model is no ``nn.Module``.
    ValueError
        If there are several inputs, or the model does not start with affine layers, or treats the
        rows of a batch together.
    UnsupportedOperationError
        If the model cannot be traced.
    """
    model, arguments = game.objective.forms.model, game.objective.arguments
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module for affine_prefix, got {describe(model)}")
    if len(game.inputs) != 1:
        raise ValueError(
            f"inputs must be one tensor for affine_prefix, got a tuple of {len(game.inputs)}"
        )
    graph = trace(model, game.inputs, arguments)
    prefix = graph.first_linear()
    if prefix is None or not (graph.batch_is_free and graph.program.rows_apart):
        raise ValueError(
            "model must start with affine layers, and keep the rows of a batch apart, for "
            f"affine_prefix, got {graph}"
        )
    after = _Resumed(model, prefix)
    found = PrefixGame(
        game.objective, game.inputs, game.baselines, game.players, prefix, game.objective, ()
    )
    return replace(
        found,
        rest=game.objective.of_model(after, len(prefix.boundary)),
        ends=found._after_prefix(game.inputs[0]),
    )


class _Resumed:
    """The layers after the prefix."""

    def __init__(self, model: nn.Module, prefix: AffinePrefix) -> None:
        self.model, self.prefix = model, prefix  # the model is seen by who looks for its modules

    def __call__(self, *given: Any) -> Tensor:
        nodes = self.prefix.boundary
        values = dict(zip(nodes, given[: len(nodes)], strict=True))
        return self.prefix.resume(values, additional_forward_args=given[len(nodes) :])
