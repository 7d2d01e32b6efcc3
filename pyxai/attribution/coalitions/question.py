"""The game behind a call, for all of its examples or for some, with all players or with some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai._random import example_ids as name_examples
from pyxai.explanation.rows import take_baselines, take_target
from pyxai.game import Game
from pyxai.game.players import players_with, present_players
from pyxai.imputers import Imputer
from pyxai.ops import unpack_masks
from pyxai.runner.arguments import take_copies
from pyxai.runner.target import explained_together

__all__ = ["Coalitions", "Question", "result_dtype"]


@dataclass(frozen=True)
class Question:
    """The arguments of a call that make a game, and the seed of its imputer."""

    forward_func: Callable[..., Any]
    inputs: Any
    baselines: Any
    target: Any
    additional_forward_args: Any
    feature_mask: Any
    perturbations_per_eval: int
    show_progress: Any
    imputer: Imputer | None = None
    seed: int = 0
    fast_path: bool = True

    def game(self) -> Game:
        """Make the game; without a target it has all outputs of the model."""
        bound = check_int("perturbations_per_eval", self.perturbations_per_eval, minimum=1)
        tensors, _ = format_inputs(self.inputs)
        return Game(
            self.forward_func,
            self.inputs,
            baselines=self.baselines,
            imputer=self.imputer,
            feature_mask=self.feature_mask,
            target=explained_together(self.target),
            additional_forward_args=self.additional_forward_args,
            # captum's default of 1 leaves the choice to the runner.
            max_rows=bound * tensors[0].shape[0] if bound > 1 else None,
            seed=self.seed,
            example_ids=name_examples(None, tensors),
            progress=self.show_progress,
            fast_path=self.fast_path,
        )

    def take(self, rows: Tensor) -> Question:
        """Return the question for some of the examples, int64 [n_rows]."""
        tensors, is_tuple = format_inputs(self.inputs)
        batch = tensors[0].shape[0]
        starts, masks = self.baselines, self.feature_mask
        if starts is not None:
            starts = take_baselines(format_baselines(starts, tensors), tensors, rows)
        if masks is not None:
            given = masks if isinstance(masks, (tuple, list)) else (masks,)
            masks = take_baselines(given, tensors, rows)  # they are given in the same forms
        return replace(
            self,
            inputs=restore_form(tuple(value[rows] for value in tensors), is_tuple),
            baselines=starts,
            target=take_target(self.target, rows, batch),
            additional_forward_args=take_copies(self.additional_forward_args, rows, batch),
            feature_mask=masks,
        )


@dataclass(frozen=True)
class Coalitions:
    """A game in which some of the players take part; the others change nothing."""

    game: Game
    players: Tensor | None = None  # int64 [n_players]; None: all of the game's

    @property
    def n_players(self) -> int:
        """How many players take part."""
        return self.game.n_players if self.players is None else self.players.numel()

    @property
    def device(self) -> torch.device:
        """Where the inputs are."""
        return self.game.inputs[0].device

    def of(self, game: Game) -> Coalitions:
        """Return the same players in the game of some of the examples, which numbers them anew."""
        if self.players is None:
            return Coalitions(game)
        ids = self.game.player_ids[self.players]
        return Coalitions(game, torch.searchsorted(game.player_ids, ids))

    def values(self, masks: Tensor) -> Tensor:
        """Return values of coalitions of those who take part, float64 [batch, n_masks, ...].

        Masks are bool [n_masks, n_players] or packed int32 [n_masks, n_words], or such for each
        example, with a first size more.
        """
        if self.players is not None:
            if masks.dtype == torch.int32:
                masks = unpack_masks(masks, self.n_players)
            shape = (*masks.shape[:-1], self.game.n_players)
            whole = torch.zeros(shape, dtype=torch.bool, device=masks.device)
            masks = whole.index_copy_(-1, self.players.to(masks.device), masks)
        return self.game.values(masks).double()

    def values_along(self, orders: Tensor) -> Tensor:
        """Return values along orders of those who take part, see `Game.values_along`; float64."""
        named = orders if self.players is None else self.players.int()[orders]
        return self.game.values_along(named).double()

    def ends(self) -> Tensor:
        """Return the values of the empty and of the full coalition, float64 [batch, 2, ...]."""
        return self.values(torch.tensor([[False], [True]]).repeat(1, self.n_players))


def varying_players(game: Game) -> Tensor:
    """Return which players differ from the baseline, bool [batch, n_players].

    With an imputer, which may draw anything, all that the example has.
    """
    if game.imputer is not None:
        return present_players(game.player_maps, game.n_players, game.inputs)
    differs = tuple(
        value != baseline for value, baseline in zip(game.inputs, game.baselines, strict=True)
    )
    return players_with(differs, game.player_maps, game.n_players)


def result_dtype(game: Game) -> torch.dtype:
    """Return the precision of results: float64 for float64 inputs, else float32."""
    wide = any(value.dtype == torch.float64 for value in game.inputs)
    return torch.float64 if wide else torch.float32
