"""What the methods share that ask a game for the values of coalitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._errors import warn
from pyxai._inputs import restore_form
from pyxai.attribution.coalitions.question import (
    Coalitions,
    Question,
    result_dtype,
    varying_players,
)
from pyxai.game import Game
from pyxai.game.players import check_one_mask, player_patterns
from pyxai.methods.base import PerturbationAttribution

__all__ = ["CoalitionMethod", "Found", "Sampler", "Stop"]


class Found(NamedTuple):
    """Values of the players of some examples."""

    scores: Tensor  # float64 [batch, ..., n_players]
    errors: Tensor | None  # like scores
    delta: Tensor  # float64 [batch, ...], what the scores miss of v(all) - v(none)


Solve = Callable[[Question, Coalitions, Tensor], Found]


class Sampler(Protocol):
    """An estimator that can be asked for more."""

    @property
    def next_evals(self) -> int | None:
        """Evaluations per example after another round; None if there is nothing left to ask."""

    def ask(self, game: Coalitions) -> None:
        """Do one round, for the examples of ``game``."""

    def estimate(self, errors: bool) -> tuple[Tensor, Tensor | None]:
        """Return values and, if asked for, standard errors, float64 [batch, ..., n_players]."""

    def take(self, rows: Tensor) -> None:
        """Go on with some of the examples only, int64 [n_rows]."""


class CoalitionMethod(PerturbationAttribution):
    """A method that needs nothing but values of coalitions of players.

    ``target=None`` on a model with several outputs explains all of them from the same evaluations:
    attributions then have the shape [batch, n_outputs, *features]. For a choice of them, give the
    model as a function that returns these columns.
    """

    @property
    def explains_every_output(self) -> bool:
        """True: the values of a coalition come with all outputs of the model."""
        return True

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell whether several targets go together: with a tolerance each has its own end."""
        return options.get("tolerance") is None

    def has_convergence_delta(self) -> bool:
        """Tell whether a delta can be computed: True, the values of the players add up."""
        return True

    @staticmethod
    def _solve(question: Question, solve: Solve) -> tuple[Game, Found]:
        """Let ``solve`` find the values of the players that differ from the baseline.

        The others get 0 and cost nothing. Examples in which the same players differ are solved
        together; in dense data these are all examples.
        """
        game = question.game()
        corners = Coalitions(game).ends()
        varying = varying_players(game)
        if corners.shape[0] < game.n_examples:  # one scalar for the batch
            varying = varying.any(0, keepdim=True)
        if bool(varying.all()):
            return game, solve(question, Coalitions(game), corners)
        shape = (corners.shape[0], *corners.shape[2:], game.n_players)
        scores = corners.new_zeros(shape)
        errors, delta = torch.zeros_like(scores), torch.zeros_like(corners[:, 0])
        groups = player_patterns(varying)
        known = True
        for rows, players in groups:
            if players.numel() == 0:
                continue
            part, coalitions = question, Coalitions(game, players)
            if len(groups) > 1:
                part = question.take(rows)
                coalitions = coalitions.of(part.game())
            found = solve(part, coalitions, corners[rows])
            scores[rows] = scores[rows].index_copy(-1, players, found.scores)
            if found.errors is None:
                known = False
            else:
                errors[rows] = errors[rows].index_copy(-1, players, found.errors)
            delta[rows] = found.delta
        return game, Found(scores, errors if known else None, delta)

    @staticmethod
    def _sample(
        question: Question,
        game: Coalitions,
        sampler: Sampler,
        stop: Stop,
        errors: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Ask until the tolerance holds; an example that is done is not asked about again."""
        sampler.ask(game)
        values, spread = sampler.estimate(errors or stop.tolerance is not None)
        if stop.tolerance is None or spread is None:
            return values, spread
        active = torch.arange(values.shape[0], device=values.device)
        while sampler.next_evals is not None:
            missed = stop.missed(spread[active])
            if not bool(missed.any()) or not stop.allows(sampler.next_evals, spread[active]):
                break
            if not bool(missed.all()):
                keep = missed.nonzero()[:, 0]
                active = active[keep]
                sampler.take(keep)
                game = game.of(question.take(active).game())
            sampler.ask(game)
            values[active], found = sampler.estimate(True)
            assert found is not None
            spread[active] = found
        return values, spread

    @staticmethod
    def _to_features(game: Game, scores: Tensor) -> Any:
        """Give every feature the score of its player, in the form and precision of the inputs.

        [batch, n_players] -> [batch, *features];
        [batch, n_outputs, n_players] -> [batch, n_outputs, *features]
        [1, n_outputs, n_players] -> [n_outputs, *features] of outputs without a row for the batch
        """
        scores = scores.to(result_dtype(game))
        check_one_mask(game.player_maps, len(scores))
        if scores.dim() == 2:
            return restore_form(game.to_features(scores), game.is_tuple)
        if game.joined:
            return restore_form(game.to_features(scores[0]), game.is_tuple)
        each = [game.to_features(part) for part in scores.unbind(1)]
        stacked = tuple(torch.stack(parts, 1) for parts in zip(*each, strict=True))
        return restore_form(stacked, game.is_tuple)

    def _result(
        self,
        game: Game,
        found: Found,
        *,
        with_delta: bool,
        with_errors: bool = False,
        as_features: bool = True,
    ) -> Any:
        """Return the scores, with delta and errors where they are asked for."""

        def shaped(scores: Tensor) -> Any:
            if as_features:
                return self._to_features(game, scores)
            return (scores[0] if game.joined else scores).to(result_dtype(game))

        parts = [shaped(found.scores)]
        if with_delta:
            delta = found.delta.to(result_dtype(game))
            parts.append(delta[0] if game.joined else delta)
        if with_errors and found.errors is not None:
            parts.append(shaped(found.errors))
        return parts[0] if len(parts) == 1 else tuple(parts)


class Stop:
    """When a sampling method has done enough: a tolerance, and what it may cost at most.

    Each example stops by itself, so what it gets does not depend on what else is in the batch.

    Parameters
    ----------
    tolerance : float or None
        Largest standard error allowed, in output units; None: one round is enough.
    max_evals : int or None
        Evaluations per example after which no round is started.
    default_evals : int
        ``max_evals`` where None is given.
    """

    def __init__(self, tolerance: Any, max_evals: Any, default_evals: int) -> None:
        if tolerance is not None:
            if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
                raise TypeError(f"tolerance must be a number, got {describe(tolerance)}")
            if not 0 < tolerance < float("inf"):
                raise ValueError(f"tolerance must be positive and finite, got {tolerance}")
        elif max_evals is not None:
            raise ValueError("max_evals must come with a tolerance, got no tolerance")
        self.tolerance = tolerance
        if max_evals is None:
            max_evals = default_evals
        self.max_evals = check_int("max_evals", max_evals, minimum=1)

    def missed(self, errors: Tensor) -> Tensor:
        """Return which examples miss the tolerance, bool [batch]."""
        if self.tolerance is None:
            return torch.zeros(errors.shape[0], dtype=torch.bool, device=errors.device)
        held: Tensor = errors.flatten(1).amax(1) <= self.tolerance
        return ~held

    def allows(self, evals: int, errors: Tensor) -> bool:
        """Say whether an example may cost ``evals`` in all; if not, warn with what is left."""
        if evals <= self.max_evals:
            return True
        missed = self.missed(errors)
        worst = float(errors[missed].max())
        warn(
            f"tolerance {self.tolerance} is not reached for {int(missed.sum())} example(s) within "
            f"max_evals={self.max_evals}; the largest standard error is {worst:.3g}",
        )
        return False
