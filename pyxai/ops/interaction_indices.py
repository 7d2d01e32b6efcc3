"""Shapley values and interaction indices of a game whose values are all known."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.ops._arguments import check_table
from pyxai.ops.moebius_transform import moebius_transform, zeta_transform
from pyxai.ops.table_sums import table_sums

__all__ = [
    "INTERACTION_INDICES",
    "Interactions",
    "dividend_weight",
    "interaction_indices_from_table",
    "interaction_indices_from_table_reference",
    "pair_interactions_from_table",
    "shapley_values_from_table",
]


def _keep(r: int, s: int) -> Fraction:
    return Fraction(int(r == s))


def _faith_shap(r: int, s: int, order: int) -> Fraction:
    if r <= order:
        return _keep(r, s)
    sign = -1 if (order - s) % 2 else 1
    scale = Fraction(sign * s * comb(order, s), order + s)
    return scale * Fraction(comb(r - 1, order), comb(r + order - 1, order + s))


def _faith_banzhaf(r: int, s: int, order: int) -> Fraction:
    if r <= order:
        return _keep(r, s)
    sign = -1 if (order - s) % 2 else 1
    return Fraction(sign * comb(r - s - 1, order - s), 2 ** (r - s))


# Every index of a set S of s players is a sum over the sets R that contain S, of r players:
# index(S) = sum over R of weight(r, s, order) * dividend(R).
_WEIGHTS: dict[str, Callable[[int, int, int], Fraction]] = {
    "moebius": lambda r, s, order: _keep(r, s),
    "co_moebius": lambda r, s, order: Fraction(1),
    "shapley_interaction": lambda r, s, order: Fraction(1, r - s + 1),
    "banzhaf_interaction": lambda r, s, order: Fraction(1, 2 ** (r - s)),
    "shapley_taylor": lambda r, s, order: (
        Fraction(1, comb(r, order)) if s == order else _keep(r, s)
    ),
    "faith_shap": _faith_shap,
    "faith_banzhaf": _faith_banzhaf,
}
INTERACTION_INDICES = tuple(_WEIGHTS)


class Interactions(NamedTuple):
    """Values of an index for the sets of at most ``order`` players."""

    sets: Tensor  # [n_sets], int64, bit i is player i; by size, then in order of their players
    values: Tensor  # [..., n_sets], in output units


def dividend_weight(index: str, r: int, s: int, order: int) -> Fraction:
    """Return the weight of the dividend of r players in the index of s of them.

    Parameters
    ----------
    index : str
        A name in ``INTERACTION_INDICES``.
    r, s : int
        Sizes, ``0 <= s <= r``; s is at most ``order``.
    order : int
        Largest size that the index explains; read by the Taylor and faithful indices only.

    Returns
    -------
    fractions.Fraction
        The exact weight.

    Raises
    ------
    ValueError
        If the index is unknown or the sizes do not fit.
    """
    check_choice("index", index, INTERACTION_INDICES)
    if not 0 <= s <= min(r, order):
        raise ValueError(f"s must be in 0..{min(r, order)}, got {s}")
    return _WEIGHTS[index](r, s, order)


def _derivative_weights(index: str, n_players: int, s: int, order: int) -> tuple[Fraction, ...]:
    """Weights p of an index as a mean of discrete derivatives.

    ``index(S) = sum over T without S of p[|T|] * derivative(S, T)``. A derivative is the sum of the
    dividends of the sets between S and S + T, so ``weight(r) = sum_t C(n - r, n - s - t) p[t]``,
    which is inverted here.
    """
    rest = n_players - s
    weights = [dividend_weight(index, s + k, s, order) for k in range(rest + 1)]
    return tuple(
        sum(
            ((-1) ** j * comb(rest - t, j) * weights[t + j] for j in range(rest - t + 1)),
            Fraction(0),
        )
        for t in range(rest + 1)
    )


@lru_cache(maxsize=256)
def _weight_rows(index: str, n_players: int, s: int, order: int) -> Tensor:
    """Rows of weights for `table_sums`: supersets that contain s, ..., 1, 0 players of S.

    Not to be written to.
    """
    weights = _derivative_weights(index, n_players, s, order)
    rows = [_differences(weights, n_players, times) for times in range(s, -1, -1)]
    return torch.tensor([[float(weight) for weight in row] for row in rows], dtype=torch.float64)


def _differences(weights: tuple[Fraction, ...], n_players: int, times: int) -> list[Fraction]:
    """Weights by size of the sets that contain ``times`` players of S, as sums over supersets.

    The indicator of a player outside is 1 minus that of a player inside, which turns the signed
    weights of derivatives into sums of neighbouring ones.
    """
    padded = [*weights, *[Fraction(0)] * (n_players + 1 - len(weights))]
    for _ in range(times):
        padded = [now + before for now, before in zip(padded, [Fraction(0), *padded], strict=False)]
    return padded


def shapley_values_from_table(
    values: Tensor,  # [..., 2**n_players]
    *,
    backend: str | None = None,
) -> Tensor:
    """Compute exact Shapley values from the values of all coalitions.

    ``phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (values[S + i] - values[S])``

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        Value of every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Tensor, shape [..., n_players]
        Shapley values in output units and the dtype of ``values``; added up in float64. They sum to
        ``values[-1] - values[0]``.

    Raises
    ------
    ValueError
        If the last axis is not a power of two or too long.
    TypeError
        If the dtype is not supported.

    References
    ----------
    .. [1] L. S. Shapley, "A Value for n-Person Games", Contributions to the Theory of Games II,
       1953, equation 12.
    """
    n_players = check_table(values)
    if n_players == 0:
        return values.new_zeros(*values.shape[:-1], 0)
    rows = _weight_rows("shapley_interaction", n_players, 1, 1)
    single, none = table_sums(values, rows, [1, 0], backend=backend)
    assert single.players is not None
    return (single.players - none.total.unsqueeze(-1)).to(values.dtype)


def pair_interactions_from_table(
    values: Tensor,  # [..., 2**n_players]
    index: str = "shapley_interaction",
    *,
    backend: str | None = None,
) -> Tensor:
    """Compute the interaction index of order 2 of all pairs from the values of all coalitions.

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        Value of every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    index : str
        A name in ``INTERACTION_INDICES``; see `interaction_indices_from_table`.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Tensor, shape [..., n_players, n_players]
        Symmetric, in output units and the dtype of ``values``; added up in float64. The diagonal
        holds the index of the single players: Shapley values for ``"shapley_interaction"``, Banzhaf
        values for ``"banzhaf_interaction"``.

    Raises
    ------
    ValueError
        If the last axis is not a power of two or too long, or the index is unknown.
    TypeError
        If the dtype is not supported.
    """
    n_players = check_table(values)
    check_choice("index", index, INTERACTION_INDICES)
    out = values.new_zeros(*values.shape[:-1], n_players, n_players)
    if n_players == 0:
        return out
    rows, orders = _weight_rows(index, n_players, 1, 2), [1, 0]
    if n_players > 1:
        rows, orders = torch.cat([rows, _weight_rows(index, n_players, 2, 2)]), [1, 0, 2, 1, 0]
    single, none, *double = table_sums(values, rows, orders, backend=backend)
    assert single.players is not None
    diagonal = single.players - none.total.unsqueeze(-1)
    out.diagonal(dim1=-2, dim2=-1).copy_(diagonal)
    if double:
        both, one, neither = double
        assert both.pairs is not None
        assert one.players is not None
        i, j = torch.triu_indices(n_players, n_players, 1, device=values.device)
        pairs = both.pairs - (one.players[..., i] + one.players[..., j])
        pairs = (pairs + neither.total.unsqueeze(-1)).to(values.dtype)
        out[..., i, j] = pairs
        out[..., j, i] = pairs
    return out


def interaction_indices_from_table(
    values: Tensor,  # [..., 2**n_players]
    order: int,
    index: str = "shapley_interaction",
    *,
    backend: str | None = None,
) -> Interactions:
    """Compute an interaction index of all sets of at most ``order`` players.

    ``index(S) = sum over R containing S of weight(|R|, |S|) * dividend(R)``, with the weights

    ========================= ====================================================================
    ``"moebius"``             1 if R = S, else 0: the dividends themselves
    ``"co_moebius"``          1: the derivative of S when all others are present
    ``"shapley_interaction"`` 1 / (r - s + 1) [1]_
    ``"banzhaf_interaction"`` 2**-(r - s) [1]_
    ``"shapley_taylor"``      1 / C(r, order) for s = order, as moebius below [2]_
    ``"faith_shap"``          the best approximation of ``order`` in the Shapley kernel [3]_
    ``"faith_banzhaf"``       the best approximation of ``order`` in the mean over coalitions [3]_
    ========================= ====================================================================

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        Value of every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    order : int
        Largest size of the sets, 0 to ``n_players``; at least 1 for ``"shapley_taylor"``,
        ``"faith_shap"`` and ``"faith_banzhaf"``.
    index : str
        A name in ``INTERACTION_INDICES``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Interactions
        ``sets`` and their ``values`` in output units and the dtype of the table, the empty set
        first. Of ``"moebius"`` (of full order), ``"shapley_taylor"`` and ``"faith_shap"``, all
        values add up to ``values[-1]``.

    Raises
    ------
    ValueError
        If the last axis is not a power of two or too long, the order does not fit, or the index is
        unknown.
    TypeError
        If the dtype is not supported.

    Notes
    -----
    One transform to dividends, then at most one more for each size. Computed in float64 through the
    dividends, whose rounding grows like ``2**(n_players / 2)``; for single players and pairs,
    `shapley_values_from_table` and `pair_interactions_from_table` have no such growth.

    References
    ----------
    .. [1] M. Grabisch, M. Roubens, "An axiomatic approach to the concept of interaction among
       players in cooperative games", International Journal of Game Theory 28, 1999.
    .. [2] M. Sundararajan, K. Dhamdhere, A. Agarwal, "The Shapley Taylor Interaction Index",
       ICML 2020.
    .. [3] C.-P. Tsai, C.-K. Yeh, P. Ravikumar, "Faith-Shap: The Faithful Shapley Interaction
       Index", JMLR 24, 2023.
    """
    n_players = check_table(values)
    check_choice("index", index, INTERACTION_INDICES)
    _check_order(order, index, n_players)
    dividends = moebius_transform(values.double(), backend=backend)
    sizes = _set_sizes(n_players, values.device)
    sets, found = [], []
    for s in range(order + 1):
        chosen = torch.tensor(_sets_of_size(n_players, s), device=values.device)
        weights = [float(_WEIGHTS[index](r, s, order)) for r in range(s, n_players + 1)]
        if any(weights[1:]):
            row = torch.tensor([0.0] * s + weights, dtype=torch.float64, device=values.device)
            # Supersets are subsets of the complement, whose number counts from the other end.
            summed = (dividends * row[sizes]).flip(-1)
            found.append(
                zeta_transform(summed, inplace=True, backend=backend).flip(-1)[..., chosen]
            )
        else:
            found.append(weights[0] * dividends[..., chosen])
        sets.append(chosen)
    return Interactions(torch.cat(sets), torch.cat(found, -1).to(values.dtype))


def _check_order(order: int, index: str, n_players: int) -> None:
    least = 1 if index in ("shapley_taylor", "faith_shap", "faith_banzhaf") else 0
    check_int("order", order, minimum=least)
    if order > n_players:
        raise ValueError(f"order must be at most n_players = {n_players}, got {order}")


def _sets_of_size(n_players: int, size: int) -> list[int]:
    return [sum(1 << i for i in players) for players in combinations(range(n_players), size)]


def _set_sizes(n_players: int, device: torch.device) -> Tensor:
    """Return the number of players of each set, ``[2**n_players]``."""
    sizes = torch.zeros(1, dtype=torch.int64, device=device)
    for _ in range(n_players):
        sizes = torch.cat([sizes, sizes + 1])
    return sizes


def interaction_indices_from_table_reference(
    values: Tensor, order: int, index: str = "shapley_interaction"
) -> Interactions:
    """Do what `interaction_indices_from_table` does, superset by superset."""
    n_players = check_table(values)
    _check_order(order, index, n_players)
    sets = [chosen for s in range(order + 1) for chosen in _sets_of_size(n_players, s)]
    out = torch.zeros(*values.shape[:-1], len(sets), dtype=torch.float64)
    for k, chosen in enumerate(sets):
        for whole in range(2**n_players):
            if whole & chosen != chosen:
                continue
            weight = dividend_weight(index, whole.bit_count(), chosen.bit_count(), order)
            for part in range(2**n_players):
                if part & whole == part:
                    sign = (-1) ** (whole ^ part).bit_count()
                    out[..., k] += float(weight) * sign * values[..., part].double()
    return Interactions(torch.tensor(sets), out)
