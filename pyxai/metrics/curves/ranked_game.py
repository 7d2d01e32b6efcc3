"""Players in the order of their scores, and the game that shows or hides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_int
from pyxai._inputs import format_inputs
from pyxai.explanation.curve import Curve
from pyxai.game import Game
from pyxai.game.linear_prefix import linear_prefix
from pyxai.metrics.attributions import player_scores, rank_players
from pyxai.metrics.options import check_fractions
from pyxai.runner import Output

__all__ = [
    "RankedGame",
    "as_tuple",
    "curve_sizes",
    "name_of",
    "ranked_game",
    "top_masks",
]

ALL_SIZES = 256  # up to so many players every size is a point of the curve


@dataclass(frozen=True)
class RankedGame:
    """A game with each example's players from best to worst; those it lacks come last."""

    game: Game
    order: Tensor  # [batch, n_players]
    counts: Tensor  # [batch], players that the example has

    def curve(self, n_points: int | None, *, hide: bool, name: str) -> Curve:
        """Return the outputs as the top players are shown or hidden."""
        sizes = self._sizes(lambda count: curve_sizes(count, n_points))
        values = self._values(sizes, hide=hide)
        x = (sizes.double() / sizes[..., -1:]).to(values.device)
        axis = "fraction of features hidden" if hide else "fraction of features shown"
        return Curve(x, values.double(), name, axis)

    def mean_drop(self, fractions: float | Sequence[float], *, hide: bool) -> Tensor:
        """Return the mean fall of the output over fractions of the players."""
        shares = check_fractions("fractions", fractions)
        # A product such as 0.1 * 30 may lie a rounding error above the whole number it stands for.
        sizes = self._sizes(lambda n: (shares * n - 1e-9).ceil().long().clamp(1, n))
        whole = torch.full_like(sizes[..., :1], 0 if hide else self.game.n_players)
        values = self._values(torch.cat([whole, sizes], -1), hide=hide).double()
        return (values[:, :1] - values[:, 1:]).mean(1)

    def _values(self, sizes: Tensor, *, hide: bool) -> Tensor:
        """Return outputs with some numbers of the top players shown, or hidden, [batch, points]."""
        game, order = self.game, self.order.to(self.game.inputs[0].device)
        if hide:
            order, sizes = order.flip(1), game.n_players - sizes
        if game.imputer is None:
            prefix = linear_prefix(
                game.runner, game.inputs, game.baselines, game.player_maps, game.n_players,
                n_rows=sizes.shape[-1], sums=2,
            )  # fmt: skip
            found = None if prefix is None else prefix.in_order(order, sizes)
            if found is not None:
                return found
        return game.values(top_masks(order, sizes))

    def _sizes(self, of_count: Callable[[int], Tensor]) -> Tensor:
        """Return sizes for each example's number of players: [points], or [batch, points].

        Where the numbers differ, the shorter lists repeat their last size.
        """
        counts = self.counts.tolist()
        known = {count: of_count(count) for count in set(counts)}
        if len(known) == 1:
            return known[counts[0]]
        width = max(len(sizes) for sizes in known.values())
        rows = [known[count] for count in counts]
        return torch.stack([torch.cat([r, r[-1:].expand(width - len(r))]) for r in rows])


def ranked_game(
    model: Callable[..., Any],
    inputs: Any,
    attributions: Any,
    *,
    target: Any,
    baselines: Any,
    imputer: Any,
    feature_mask: Any,
    additional_forward_args: Any,
    output: Output,
    absolute: bool,
    max_rows: int | None,
    seed: int,
) -> RankedGame:
    """Return the game that `insertion` is asked about, and each example's players in order."""
    check_bool("absolute", absolute)
    tensors, _ = format_inputs(inputs)
    scores, mask = player_scores(attributions, tensors, feature_mask, absolute=absolute)
    game = Game(
        model,
        inputs,
        baselines=baselines,
        imputer=imputer,
        feature_mask=mask,
        target=target,
        additional_forward_args=additional_forward_args,
        output=output,
        max_rows=max_rows,
        seed=seed,
    )
    return RankedGame(game, rank_players(scores), (scores > -torch.inf).sum(1))


def curve_sizes(n_players: int, n_points: int | None) -> Tensor:
    """Return the numbers of players at the points of a curve."""
    if n_points is None:
        n_points = n_players + 1 if n_players <= ALL_SIZES else 101
    check_int("n_points", n_points, minimum=2)
    count = min(n_points, n_players + 1)
    return torch.linspace(0, n_players, count, dtype=torch.float64).round().long()


def top_masks(order: Tensor, sizes: Tensor, n_players: int | None = None) -> Tensor:
    """Return masks that hold the first ``sizes`` players of each example, [batch, sizes, n].

    ``sizes`` are the same for all examples, [sizes], or their own, [batch, sizes].
    ``order`` may name fewer than ``n_players``; default: it names all.
    """
    count = order.shape[1] if n_players is None else n_players
    place = order.new_full((len(order), count), count).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return place.unsqueeze(1) < sizes.to(order.device).unsqueeze(-1)


def name_of(output: Output) -> str:
    """Return what an output is called."""
    return output if isinstance(output, str) else "output"


def as_tuple(arguments: Any) -> tuple[Any, ...]:
    """Return extra arguments as a tuple."""
    if arguments is None:
        return ()
    return arguments if isinstance(arguments, tuple) else (arguments,)
