"""All independent and interaction effects of a game, by masking: the Harsanyi dividends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.game import Game
from pyxai.imputers import Imputer
from pyxai.ops.moebius_transform import moebius_transform
from pyxai.runner import Output, ProgressOption, one_scope, takes_arrays
from pyxai.taylor.effects.subsets import mask_of, name_set, popcounts
from pyxai.taylor.effects.terms import check_names

__all__ = ["MAX_PLAYERS", "HarsanyiDividends", "harsanyi_dividends"]

MAX_PLAYERS = 24


@dataclass(frozen=True)
class HarsanyiDividends:
    """Effects of every set of players: psi(i) of one player, J(S) of several.

    ``value = baseline_value + sum over non-empty S of values[S]``.

    Attributes
    ----------
    values : Tensor, float64, shape [batch, 2**n_players]
        Effect of the set with bit mask = index (bit i = player i), in output units. Index 0 holds
        the value at the baseline. Nothing is set to zero; compare with ``noise_floor``.
    value, baseline_value : Tensor, float64, shape [batch]
        The game with all players and with none.
    noise_floor : Tensor, float64, shape [batch, n_players + 1]
        By size ``|S|``: rounding of the model's outputs carried into the effects,
        ``eps * max|v| * 2**(|S| / 2)``. Smaller effects mean nothing.
    anchor : str
        "baseline": effects of adding players to the empty set; "input": of removing them from the
        full set, with the sign with which they sum to the same difference.
    names : tuple of str
        Names of the players.
    """

    values: Tensor  # [batch, 2**n_players]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    noise_floor: Tensor  # [batch, n_players + 1]
    anchor: str
    names: tuple[str, ...]

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.names)

    @property
    def residual(self) -> Tensor:  # [batch]
        """``f(x) - f(b) - sum of all effects``; rounding only."""
        return self.value - self.baseline_value - self.values[:, 1:].sum(1)

    def effect(self, players: Iterable[int]) -> Tensor:  # [batch]
        """Return the effect of one set of players.

        Raises
        ------
        ValueError
            If a player does not exist.
        """
        chosen = list(players)
        if any(not 0 <= player < self.n_players for player in chosen):
            raise ValueError(f"players must be in 0 .. {self.n_players - 1}, got {chosen}")
        return self.values[:, mask_of(chosen)]

    def independent(self) -> Tensor:  # [batch, n_players]
        """Return the independent effects psi(i)."""
        return self.values[:, 2 ** torch.arange(self.n_players)]

    def pair_matrix(self) -> Tensor:  # [batch, n_players, n_players]
        """Return J of the pairs as a symmetric matrix, psi on the diagonal."""
        bits = 2 ** torch.arange(self.n_players)
        return self.values[:, bits[:, None] | bits]

    def strength_by_size(self) -> Tensor:  # [batch, n_players + 1]
        """Return ``sum of |effect|`` over the sets of each size; size 0 gives 0."""
        strength = self.values.new_zeros(len(self.values), self.n_players + 1)
        strength.index_add_(1, popcounts(self.n_players), self.values.abs())
        strength[:, 0] = 0
        return strength

    def top(self, k: int = 10, example: int = 0) -> list[tuple[tuple[int, ...], float]]:
        """Return the k strongest effects of one example as (players, effect), strongest first."""
        check_int("k", k, minimum=1)
        row = self.values[example, 1:]
        order = row.abs().topk(min(k, len(row))).indices.tolist()
        return [(_members(index + 1), float(row[index])) for index in order]

    def to_dict(self, example: int = 0) -> dict[tuple[int, ...], float]:
        """Return ``{players: effect}`` of one example, the empty set included."""
        return {_members(mask): v for mask, v in enumerate(self.values[example].tolist())}

    def __str__(self) -> str:
        lines = [
            f"Harsanyi dividends of {self.n_players} players ({2**self.n_players} sets), anchored "
            f"at the {self.anchor}; example 0 of {len(self.values)}"
        ]
        if len(self.values):
            total = float(self.value[0] - self.baseline_value[0])
            lines.append(f"  f(x) - f(b) = {total:.6g}, residual {float(self.residual[0]):.2g}")
            for players, effect in self.top(10):
                name = name_set(mask_of(players), self.names)
                if abs(effect) > float(self.noise_floor[0, len(players)]):
                    lines.append(f"  {effect:+12.6g}  {name}")
            floor = self.noise_floor[0, popcounts(self.n_players)]
            noisy = int((self.values[0, 1:].abs() <= floor[1:]).sum())
            lines.append(f"  {noisy} of {2**self.n_players - 1} effects are below the noise floor")
            sizes = ", ".join(f"{s:.3g}" for s in self.strength_by_size()[0, 1:].tolist())
            lines.append(f"  sum of |effect| by number of players: {sizes}")
        return "\n".join(lines)


def _members(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


@takes_arrays
@one_scope
def harsanyi_dividends(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    baselines: Any = None,
    imputer: Imputer | None = None,
    feature_mask: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    anchor: str = "baseline",
    names: Sequence[str] | None = None,
    max_rows: int | None = None,
    progress: ProgressOption = None,
) -> HarsanyiDividends:
    """Compute the effect of every set of players by masking.

    ``J(S) = sum over T within S of (-1)**(|S| - |T|) v(T)``, for every set S. They equal the sums
    of the Taylor terms whose variables are exactly S, wherever the Taylor series converges, and
    are right for every model, ReLU nets included.

    Parameters
    ----------
    model : callable
        Takes the inputs and then the extra arguments.
    inputs : Tensor or tuple of Tensor, shape [batch, *feat] each
        Examples.
    baselines, imputer, feature_mask, target, additional_forward_args, output, max_rows, progress
        As in `pyxai.Game`. At most 24 players.
    anchor : "baseline" or "input"
        Whether effects add players to the empty set or remove them from the full one. The effect
        of one player is f(b with i) - f(b), respectively the Occlusion-1 score f(x) - f(x without
        i).
    names : sequence of str, optional
        Names of the players, for printing.

    Returns
    -------
    HarsanyiDividends

    Raises
    ------
    ValueError
        If there are more than 24 players, or the model mixes the examples of a batch; and as in
        `pyxai.Game`.

    Notes
    -----
    2**n model evaluations for each example and n * 2**(n - 1) subtractions; the table takes
    8 * 2**n bytes an example. Deterministic.

    References
    ----------
    .. [1] J. C. Harsanyi, "A simplified bargaining model for the n-person cooperative game",
       International Economic Review 4(2), 1963.
    .. [2] H. Deng et al., "Unifying Fourteen Post-Hoc Attribution Methods With Taylor
       Interactions", IEEE TPAMI 46(7), 2024, Theorem 1.

    Examples
    --------
    >>> model = Polynomial({(1, 1): 1.0, (1, 0): 1.0})  # x1 x2 + x1
    >>> effects = harsanyi_dividends(model, torch.tensor([[2.0, 3.0]]))
    >>> effects.to_dict()
    {(): 0.0, (0,): 2.0, (1,): 0.0, (0, 1): 6.0}
    """
    check_choice("anchor", anchor, ("baseline", "input"))
    game = Game(
        model,
        inputs,
        baselines=baselines,
        imputer=imputer,
        feature_mask=feature_mask,
        target=target,
        additional_forward_args=additional_forward_args,
        output=output,
        max_rows=max_rows,
        progress=progress,
    )
    n = game.n_players
    names = check_names(names, n)
    outputs = value_table(game)
    # The coarser of what the model was given and what it returned.
    floats = [outputs, *(tensor for tensor in game.inputs if tensor.is_floating_point())]
    eps = max(torch.finfo(tensor.dtype).eps for tensor in floats)
    table = outputs.double()
    largest = table.abs().amax(1, keepdim=True)
    first, last = table[:, 0].clone(), table[:, -1].clone()
    if anchor == "baseline":
        values = moebius_transform(table)
    else:
        # v(N without T) read along the reversed index; the sign makes the sum f(x) - f(b).
        values = moebius_transform(table.flip(1)).neg_()
        values[:, 0] = first
    return HarsanyiDividends(
        values=values,
        value=last,
        baseline_value=first,
        noise_floor=eps * largest * 2.0 ** (torch.arange(n + 1, dtype=torch.float64) / 2),
        anchor=anchor,
        names=names,
    )


def value_table(game: Game, limit: int = MAX_PLAYERS) -> Tensor:  # [batch, 2**n_players]
    """Return the values of all sets of players, on the CPU; bit i of an index is player i.

    Raises
    ------
    ValueError
        If there are more than ``limit`` players, or the model mixes the examples of a batch.
    """
    check_enumerable(game.n_players, game.n_examples, limit)
    outputs = game.values(torch.arange(2**game.n_players, dtype=torch.int32)[:, None])
    if outputs.shape[0] != game.n_examples:
        raise ValueError("model must return one output for each example, got one for the batch")
    return outputs.cpu()


def check_enumerable(n_players: int, n_examples: int, limit: int = MAX_PLAYERS) -> None:
    """Raise ``ValueError`` if 2**n_players values are too many; say what to do instead."""
    if n_players > limit:
        pairs = n_players * (n_players + 1) // 2 + 1
        raise ValueError(
            f"feature_mask must give at most {limit} players for all subsets, got {n_players}: "
            f"that is 2**{n_players} = {2**n_players:.3g} evaluations for each of {n_examples} "
            "example(s). Group features with feature_mask, or use pyxai.taylor.pairwise_terms "
            f"({pairs} evaluations an example, pairs only), or "
            "pyxai.attribution.ShapleyValueSampling or KernelShap for single players"
        )
