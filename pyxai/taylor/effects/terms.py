"""Taylor terms T(kappa) as a result object: values by degree vector, gap, sums by set and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai.explanation.numbers import number, rounding

__all__ = ["TaylorTerms", "check_names", "default_names", "degree_vectors"]


def default_names(n_players: int) -> tuple[str, ...]:
    """Return the names x0, x1, ... used where the caller gave none."""
    return tuple(f"x{player}" for player in range(n_players))


def degree_vectors(n_players: int, order: int) -> Tensor:  # int64 [n_terms, n_players]
    """Return all kappa with ``sum(kappa) == order``; there are C(n + order - 1, order)."""
    if n_players == 1:
        return torch.tensor([[order]])
    rows = []
    for first in range(order, -1, -1):
        rest = degree_vectors(n_players - 1, order - first)
        rows.append(torch.cat([torch.full((len(rest), 1), first), rest], dim=1))
    return torch.cat(rows)


@dataclass(frozen=True)
class TaylorTerms:
    """Taylor terms of a model between a baseline and an input.

    ``value = baseline_value + sum over kappa of T(kappa) + residual``, with
    ``T(kappa) = d^kappa f / kappa! * prod (x_i - b_i)^kappa_i``.

    Attributes
    ----------
    kappas : Tensor, int64, shape [n_terms, n_players]
        Degree vectors; the vector 0 is not among them.
    values : Tensor, float64, shape [batch, n_terms]
        T(kappa) in output units. Expanded at the input (``anchor="input"``) they carry the sign
        with which they sum to ``value - baseline_value``.
    value, baseline_value : Tensor, float64, shape [batch]
        The model at the input and at the baseline.
    max_order : int
        Terms of higher order are not contained; the residual is what they would add.
    analytic : bool
        False when the model has kinks (ReLU, max, abs): then no order makes the residual small,
        and ``harsanyi_dividends`` is the right tool for interactions.
    anchor : str
        The point of expansion, "baseline" or "input".
    names : tuple of str
        Names of the players.

    References
    ----------
    .. [1] H. Deng et al., "Unifying Fourteen Post-Hoc Attribution Methods With Taylor
       Interactions", IEEE TPAMI 46(7), 2024, section 3.
    """

    kappas: Tensor  # [n_terms, n_players]
    values: Tensor  # [batch, n_terms]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    max_order: int
    analytic: bool
    anchor: str
    names: tuple[str, ...]

    @property
    def n_players(self) -> int:
        """Number of players."""
        return int(self.kappas.shape[1])

    @property
    def residual(self) -> Tensor:  # [batch]
        """Truncation gap ``f(x) - f(b) - sum of the terms``, in output units."""
        return self.value - self.baseline_value - self.values.sum(1)

    def term(self, kappa: tuple[int, ...]) -> Tensor:  # [batch]
        """Return T(kappa) of one degree vector; 0 if it is not contained and of lower order.

        Raises
        ------
        ValueError
            If ``kappa`` has the wrong length, is 0, or is of higher order than ``max_order``.
        """
        if len(kappa) != self.n_players or not 0 < sum(kappa) <= self.max_order:
            raise ValueError(
                f"kappa must have {self.n_players} entries that sum to 1..{self.max_order}, "
                f"got {kappa}"
            )
        found = (self.kappas == torch.tensor(kappa)).all(1)
        return self.values[:, found].sum(1)

    def supports(self) -> Tensor:  # int64 [n_terms]
        """Return the bit mask of the players in each term."""
        bits = 2 ** torch.arange(self.n_players)
        return ((self.kappas > 0) * bits).sum(1)

    def generic(self) -> Tensor:  # [batch, 2**n_players]
        """Sum the terms by their set of players: psi(i), J(S) truncated at ``max_order``.

        Index 0 holds the value at the baseline. For at most 24 players.
        """
        table = self.values.new_zeros(len(self.values), 2**self.n_players)
        table.index_add_(1, self.supports(), self.values)
        table[:, 0] = self.baseline_value
        return table

    def order_sums(self) -> Tensor:  # [batch, max_order]
        """Sum the terms of each order 1..max_order."""
        sums = self.values.new_zeros(len(self.values), self.max_order + 1)
        return sums.index_add_(1, self.kappas.sum(1), self.values)[:, 1:]

    def moments(self) -> Tensor:  # [batch, max_order, n_players]
        """Return ``sum over kappa of order k of kappa_i T(kappa)``, for k = 1..max_order."""
        shape = (len(self.values), self.max_order + 1, self.n_players)
        parts = self.values[:, :, None] * self.kappas
        return self.values.new_zeros(shape).index_add_(1, self.kappas.sum(1), parts)[:, 1:]

    def to_dict(self, example: int = 0) -> dict[tuple[int, ...], float]:
        """Return ``{kappa: T(kappa)}`` of one example."""
        row = self.values[example].tolist()
        return {tuple(k): v for k, v in zip(self.kappas.tolist(), row, strict=True)}

    def _name(self, index: int) -> str:
        degrees = zip(self.names, self.kappas[index].tolist(), strict=True)
        return " ".join(name if k == 1 else f"{name}^{k}" for name, k in degrees if k)

    def __str__(self) -> str:
        lines = [
            f"Taylor terms to order {self.max_order} of {self.n_players} players, expanded at the "
            f"{self.anchor}; example 0 of {len(self.values)}",
        ]
        if len(self.values):
            total = float(self.value[0] - self.baseline_value[0])
            lines.append(f"  f(x) - f(b) = {total:.6g}, missing {float(self.residual[0]):.3g}")
            order = self.values[0].abs().argsort(descending=True, stable=True)[:10]
            for index in order.tolist():
                value = self.values[0, index].item()
                shown = number(value, "+.6g", rounding(self.values[0]))
                lines.append(f"  {shown:>12}  {self._name(index)}")
        if not self.analytic:
            lines.append("  the model has kinks: these terms do not add up to its interactions")
        return "\n".join(lines)


def check_names(names: Sequence[str] | None, n_players: int) -> tuple[str, ...]:
    """Return the names of the players as a tuple; x0, x1, ... where none are given.

    Raises
    ------
    ValueError
        If their number differs from ``n_players``.
    """
    if names is None:
        return default_names(n_players)
    if len(names) != n_players:
        raise ValueError(f"names must have {n_players} entries, one per player, got {len(names)}")
    return tuple(str(name) for name in names)
