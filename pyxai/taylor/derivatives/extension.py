"""The extension v(w) of a game as a function of player weights with derivatives of any order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pyxai._checks import FLOAT_DTYPES, check_choice, check_dtype
from pyxai._inputs import flat_features, format_feature_mask
from pyxai.game import Game
from pyxai.runner.differentiable import DifferentiableModel, differentiable
from pyxai.taylor.derivatives.jets import Function

__all__ = ["Extension", "end_values"]


class Extension:
    """``v(w) = f(b + w[player] * (x - b))`` of every example, to be differentiated in w.

    Derivatives in w at 0 are the Taylor terms: ``d^kappa v(0) / kappa! = T(kappa)``, also when a
    player is a group of features. Anchored at the input, ``w`` counts how much is taken away.

    Parameters
    ----------
    game : Game
        Inputs, baselines and players; without an imputer.
    feature_mask : as for `Game`
        The same as the game was built with.
    anchor : "baseline" or "input"
        Where w = 0 is.

    Raises
    ------
    TypeError
        If an input is not floating point: nothing to differentiate.
    """

    def __init__(self, game: Game, feature_mask: object, anchor: str = "baseline") -> None:
        check_choice("anchor", anchor, ("baseline", "input"))
        for tensor in game.inputs:
            check_dtype("inputs", tensor, FLOAT_DTYPES)
        self.game, self.anchor = game, anchor
        self.batch, self.n_players = game.n_examples, game.n_players
        self._owners = format_feature_mask(feature_mask, game.inputs).maps
        ends = [
            (torch.as_tensor(start, dtype=end.dtype, device=end.device).expand_as(end), end)
            for start, end in zip(game.baselines, game.inputs, strict=True)
        ]
        self._ends = [pair if anchor == "baseline" else pair[::-1] for pair in ends]

    def point(self, value: float, n_points: int = 1) -> Tensor:  # [batch, n_points, n_players]
        """Return weights that are all ``value``, in the dtype of the inputs."""
        return self._ends[0][0].new_full((self.batch, n_points, self.n_players), value)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return f(x) and f(b), float64 [batch] each."""
        return end_values(self.game)

    def points_per_pass(self, order: int) -> int:
        """Return how many points of all examples fit one pass with derivatives of an order.

        Every order about doubles what is held; the runner's measure is for one backward pass.
        """
        rows = self.game.estimate(2**12, gradients=True).rows_per_pass
        return max(1, rows // (self.batch * (1 << max(0, order - 1))))

    @contextmanager
    def open(self) -> Iterator[Function]:
        """Give the function ``[batch, n_points, n_players] -> [batch, n_points]``."""
        with differentiable(self.game.runner, self.batch) as model:
            yield lambda weights: self._value(model, weights, slice(0, self.batch))

    @contextmanager
    def open_each(self) -> Iterator[list[Function]]:
        """Give one function ``[1, n_points, n_players] -> [1, n_points]`` for each example."""
        with differentiable(self.game.runner, self.batch) as model:
            yield [
                lambda weights, e=example: self._value(model, weights, slice(e, e + 1))  # type: ignore[misc]
                for example in range(self.batch)
            ]

    @contextmanager
    def open_features(self) -> Iterator[Function]:
        """Give the model itself, ``[batch, n_points, n_features] -> [batch, n_points]``."""
        sizes = [start[0].numel() for start, _ in self._ends]
        with differentiable(self.game.runner, self.batch) as model:

            def value(rows: Tensor) -> Tensor:
                count, n_points, _ = rows.shape
                parts = [
                    part.to(start.dtype).reshape(count * n_points, *start.shape[1:])
                    for part, (start, _) in zip(
                        torch.split(rows, sizes, 2), self._ends, strict=True
                    )
                ]
                found = model(tuple(parts), slice(0, self.batch), n_points)
                return found.reshape(count, n_points)

            yield value

    def features(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return where w = 0 is and the way to w = 1, both [batch, n_features], and the players.

        Players are int32 ``[1 or batch, n_features]``, None where every feature is its own.
        """
        start, end = (torch.cat([flat_features(pair[k]) for pair in self._ends], 1) for k in (0, 1))
        return start, end - start, self._players(start.shape[1])

    def _players(self, n_features: int) -> Tensor | None:
        if all(owners is None for owners in self._owners):
            return None
        rows = max(1 if owners is None else owners.shape[0] for owners in self._owners)
        parts = []
        for (start, _), owners in zip(self._ends, self._owners, strict=True):
            assert owners is not None
            parts.append(flat_features(owners).expand(rows, start[0].numel()))
        return torch.cat(parts, 1).to(torch.int32)

    def _value(self, model: DifferentiableModel, weights: Tensor, examples: slice) -> Tensor:
        count, n_points, _ = weights.shape
        rows = []
        for (start, end), owners in zip(self._ends, self._owners, strict=True):
            low, high = (
                flat_features(start[examples])[:, None],
                flat_features(end[examples])[:, None],
            )
            mixed = low + self._spread(weights, owners, examples) * (high - low)
            rows.append(mixed.reshape(count * n_points, *start.shape[1:]))
        return model(tuple(rows), examples, n_points).reshape(count, n_points)

    @staticmethod
    def _spread(weights: Tensor, owners: Tensor | None, examples: slice) -> Tensor:
        """Give every feature the weight of its player: ``[examples, n_points, features]``."""
        if owners is None:
            return weights
        if owners.shape[0] == 1:
            return weights.index_select(2, owners.flatten().long())
        index = flat_features(owners[examples]).long()[:, None, :]
        return weights.gather(2, index.expand(-1, weights.shape[1], -1))


def end_values(game: Game) -> tuple[Tensor, Tensor]:
    """Return f(x) and f(b), float64 [batch] each.

    Raises
    ------
    ValueError
        If the model returns one output for the whole batch.
    """
    masks = torch.tensor([[True], [False]]).expand(2, game.n_players)
    values = game.values(masks.contiguous()).double().cpu()
    if values.shape[0] != game.n_examples:
        raise ValueError("model must return one output for each example, got one for the batch")
    return values[:, 0], values[:, 1]
