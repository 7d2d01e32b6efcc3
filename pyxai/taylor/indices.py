"""Interaction indices of cooperative game theory, from the table of Harsanyi dividends.

They are *not* Taylor effects: an index of S also collects shares of the effects of larger sets.
In particular the "Shapley-Taylor index" (Sundararajan et al. 2020) shares only its name with the
Taylor interaction effects J(S).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.taylor._subsets import mask_of, name_set, popcounts
from pyxai.taylor.harsanyi import HarsanyiDividends, harsanyi_dividends

__all__ = ["INDICES", "InteractionIndices", "indices_from_dividends", "interaction_indices"]

INDICES = ("shapley", "banzhaf", "shapley_taylor", "faith_shapley", "faith_banzhaf")


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
        for number, players in enumerate(self.sets):
            if len(players) <= 2:
                table[:, players[0], players[-1]] = self.values[:, number]
                table[:, players[-1], players[0]] = self.values[:, number]
        return table

    def __str__(self) -> str:
        title = self.index.replace("_", "-")
        lines = [
            f"{title} interaction index up to size {self.order} of {len(self.names)} players "
            f"(not a Taylor effect); example 0 of {len(self.values)}"
        ]
        if len(self.values):
            row = self.values[0]
            for number in row.abs().topk(min(10, len(row))).indices.tolist():
                name = name_set(mask_of(self.sets[number]), self.names)
                lines.append(f"  {float(row[number]):+12.6g}  {name}")
        return "\n".join(lines)


def interaction_indices(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    index: str = "shapley",
    order: int = 2,
    **game: Any,
) -> InteractionIndices:
    """Compute an interaction index of all sets of up to ``order`` players, exactly.

    Parameters
    ----------
    model, inputs
        As in `pyxai.Game`.
    index : str
        * "shapley": ``sum over R containing S of J(R) / (|R| - |S| + 1)`` (Grabisch & Roubens
          1999);
        * "banzhaf": ``sum of J(R) / 2**(|R| - |S|)``;
        * "shapley_taylor": J(S) below the top size, ``sum of J(R) / C(|R|, order)`` at it
          (Sundararajan et al. 2020); sums to f(x) - f(b);
        * "faith_shapley": the best fit under the Shapley kernel (Tsai et al. 2023, Theorem 19);
          sums to f(x) - f(b);
        * "faith_banzhaf": the best fit under the uniform law.
    order : int
        Largest size of a set.
    **game
        Further arguments of `harsanyi_dividends`: baselines, feature_mask, target, output, names
        and so on.

    Returns
    -------
    InteractionIndices

    Raises
    ------
    ValueError
        If ``index`` is unknown, ``order`` is not in 1..n, or there are more than 24 players.

    Notes
    -----
    2**n model evaluations an example, then 2**n additions for every set.
    """
    check_choice("index", index, INDICES)
    return indices_from_dividends(harsanyi_dividends(model, inputs, **game), index, order)


def indices_from_dividends(
    effects: HarsanyiDividends, index: str, order: int = 2
) -> InteractionIndices:
    """Compute an interaction index from a table of dividends; see `interaction_indices`."""
    check_choice("index", index, INDICES)
    n = effects.n_players
    check_int("order", order, minimum=1)
    if order > n:
        raise ValueError(f"order must be at most the number of players, {n}, got {order}")
    sizes = popcounts(n)
    masks = torch.arange(2**n)
    sets = [s for size in range(1, order + 1) for s in itertools.combinations(range(n), size)]
    weights = {size: _weights(index, size, order, n)[sizes] for size in range(1, order + 1)}
    columns = []
    for players in sets:
        mask = mask_of(players)
        above = masks[(masks & mask) == mask]
        columns.append(effects.values[:, above] @ weights[len(players)][above])
    return InteractionIndices(
        sets=tuple(sets),
        values=torch.stack(columns, 1),
        index=index,
        order=order,
        baseline_value=effects.baseline_value,
        names=effects.names,
    )


def _weights(index: str, size: int, order: int, n: int) -> Tensor:  # float64 [n + 1]
    """Return the share of J(R) in the index of a set of ``size`` within R, by |R|."""
    weights = torch.zeros(n + 1, dtype=torch.float64)
    for r in range(size, n + 1):
        weights[r] = _share(index, size, order, r)
    return weights


def _share(index: str, s: int, order: int, r: int) -> float:
    if index == "shapley":
        return 1 / (r - s + 1)
    if index == "banzhaf":
        return 0.5 ** (r - s)
    if index == "shapley_taylor":
        if s < order:
            return float(r == s)
        return 1 / math.comb(r, order)
    if r <= order:
        return float(r == s)
    sign = -1.0 if (order - s) % 2 else 1.0
    if index == "faith_banzhaf":
        return sign * 0.5 ** (r - s) * math.comb(r - s - 1, order - s)
    share = s / (order + s) * math.comb(order, s) * math.comb(r - 1, order)
    return sign * share / math.comb(r + order - 1, order + s)
