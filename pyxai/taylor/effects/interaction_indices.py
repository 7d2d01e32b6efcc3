"""Interaction indices of cooperative game theory, from the table of all values of the game.

They are *not* Taylor effects: an index of S also collects shares of the effects of larger sets.
In particular the "Shapley-Taylor index" (Sundararajan et al. 2020) shares only its name with the
Taylor interaction effects J(S).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.explanation.numbers import number, rounding
from pyxai.game import Game
from pyxai.ops.interaction_indices import INTERACTION_INDICES, interaction_indices_from_table
from pyxai.runner import one_scope, takes_arrays
from pyxai.taylor.effects.harsanyi import value_table
from pyxai.taylor.effects.subsets import mask_of, members, name_set
from pyxai.taylor.effects.terms import check_names

__all__ = ["InteractionIndices", "interaction_indices"]


@dataclass(frozen=True)
class InteractionIndices:
    """An interaction index of all sets of players up to a size.

    Attributes
    ----------
    sets : tuple of tuples of int
        The sets, by size and then in lexicographic order.
    values : Tensor, float64, shape [batch, n_sets]
        The index of each set, in output units.
    index : str
        Which index.
    order : int
        Largest size of a set.
    baseline_value : Tensor, float64, shape [batch]
        The game without players.
    names : tuple of str
        Names of the players.
    """

    sets: tuple[tuple[int, ...], ...]
    values: Tensor  # [batch, n_sets]
    index: str
    order: int
    baseline_value: Tensor  # [batch]
    names: tuple[str, ...]

    def get(self, *players: int) -> Tensor:  # [batch]
        """Return the index of one set.

        Raises
        ------
        ValueError
            If the set is not contained.
        """
        wanted = tuple(sorted(players))
        if wanted not in self.sets:
            raise ValueError(
                f"players must be 1 to {self.order} different numbers below {len(self.names)}, "
                f"got {players}"
            )
        return self.values[:, self.sets.index(wanted)]

    def matrix(self) -> Tensor:  # [batch, n_players, n_players]
        """Return the indices of pairs as a symmetric matrix, of single players on the diagonal."""
        n = len(self.names)
        table = self.values.new_zeros(len(self.values), n, n)
        for place, players in enumerate(self.sets):
            if len(players) <= 2:
                table[:, players[0], players[-1]] = self.values[:, place]
                table[:, players[-1], players[0]] = self.values[:, place]
        return table

    def __str__(self) -> str:
        title = self.index.replace("_", "-")
        lines = [
            f"{title} interaction index up to size {self.order} of {len(self.names)} players "
            f"(not a Taylor effect); example 0 of {len(self.values)}"
        ]
        if len(self.values):
            row = self.values[0]
            for place in row.abs().topk(min(10, len(row))).indices.tolist():
                name = name_set(mask_of(self.sets[place]), self.names)
                lines.append(f"  {number(float(row[place]), '+.6g', rounding(row)):>12}  {name}")
        return "\n".join(lines)


@takes_arrays
@one_scope
def interaction_indices(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    index: str = "shapley_interaction",
    order: int = 2,
    names: Sequence[str] | None = None,
    **game: Any,
) -> InteractionIndices:
    """Compute an interaction index of all sets of up to ``order`` players, exactly.

    ``index(S) = sum over R containing S of weight(|R|, |S|) * J(R)``

    Parameters
    ----------
    model, inputs
        As in `pyxai.Game`.
    index : str
        "shapley_interaction", "banzhaf_interaction", "shapley_taylor", "faith_shap",
        "faith_banzhaf", "moebius" or "co_moebius"; the weights are in
        `pyxai.ops.interaction_indices_from_table`.
    order : int
        Largest size of a set.
    names : sequence of str, optional
        Names of the players, for printing.
    **game
        Further arguments of `pyxai.Game`: baselines, imputer, feature_mask, target, output, ...

    Returns
    -------
    InteractionIndices

    Raises
    ------
    ValueError
        If ``index`` is unknown, ``order`` is not in 1..n, or there are more than 24 players.

    Notes
    -----
    2**n model evaluations an example.

    Examples
    --------
    >>> model = Polynomial({(1, 1, 1): 6.0})  # 6 x1 x2 x3
    >>> print(interaction_indices(model, torch.ones(1, 3, dtype=torch.float64)).get(0, 1))
    tensor([3.], dtype=torch.float64)
    """
    check_choice("index", index, INTERACTION_INDICES)
    check_int("order", order, minimum=1)
    asked = Game(model, inputs, **game)
    if order > asked.n_players:
        raise ValueError(
            f"order must be at most the number of players, {asked.n_players}, got {order}"
        )
    table = value_table(asked).double()
    found = interaction_indices_from_table(table, order, index)
    return InteractionIndices(
        sets=tuple(members(mask) for mask in found.sets[1:].tolist()),
        values=found.values[:, 1:],
        index=index,
        order=order,
        baseline_value=table[:, 0].clone(),
        names=check_names(names, asked.n_players),
    )
