"""How many players each round adds, and where on the path its gradients are taken."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, describe
from pyxai._quadrature import RULES, nodes_and_weights

__all__ = ["check_n_select", "check_rounds", "is_adaptive", "path_nodes", "round_sizes"]

_PATH_RULES = (*RULES, "trapezoid", "start")


def round_sizes(
    rounds: str | int | Sequence[int], n_players: int, n_select: int | None = None
) -> list[int]:
    """Return how many players each round of a greedy selection adds.

    Parameters
    ----------
    rounds : "geometric", int or sequence of int
        ``"geometric"``: 1, 1, 2, 4, 8, ..., each round as many as there are already. An int: that
        many in every round. A sequence: the sizes themselves. The last of the first two is cut to
        what is left.
    n_players : int
        How many players there are.
    n_select : int, optional
        How many to select in all; default: all.

    Returns
    -------
    list of int
        At least 1 each. They sum to ``n_select``, or to less if a sequence does.

    Raises
    ------
    ValueError
        If ``rounds`` asks for more players, or more rounds, than there are.
    TypeError
        If ``rounds`` is of another kind.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023,
       algorithm 1, for the constant size.

    Examples
    --------
    >>> round_sizes("geometric", 10), round_sizes(4, 10)
    ([1, 1, 2, 4, 2], [4, 4, 2])
    """
    n_select = check_n_select(n_select, n_players)
    sizes = check_rounds(rounds, names=("geometric",))
    if isinstance(sizes, str):
        return _cut([1, *(2**power for power in range(n_select.bit_length()))], n_select)
    if isinstance(sizes, int):
        if sizes > n_select:
            raise ValueError(
                f"rounds must add at most n_select={n_select} of {n_players} player(s), got {sizes}"
            )
        return _cut([sizes] * -(-n_select // sizes), n_select)
    if len(sizes) > n_players:
        raise ValueError(
            f"rounds must be at most {n_players}, one for each player, got more rounds than "
            f"features: {len(sizes)}"
        )
    if sum(sizes) > n_select:
        raise ValueError(
            f"rounds must add at most n_select={n_select} of {n_players} player(s) in all, "
            f"got sizes that sum to {sum(sizes)}"
        )
    return sizes


def check_rounds(
    rounds: Any, *, names: Sequence[str] = ("geometric", "adaptive")
) -> str | int | list[int]:
    """Return ``rounds`` if it is one of ``names``, a size or a list of sizes, each at least 1.

    Raises
    ------
    TypeError
        If it is of another kind.
    ValueError
        If it is another name, an empty list, or holds a size below 1.
    """
    if isinstance(rounds, str):
        return check_choice("rounds", rounds, names)
    if isinstance(rounds, np.ndarray):
        rounds = rounds.tolist()
    if isinstance(rounds, Integral):
        return check_int("rounds", rounds, minimum=1)
    if not isinstance(rounds, Sequence):
        raise TypeError(f"rounds must be a name, an integer or a list, got {describe(rounds)}")
    if not rounds:
        raise ValueError("rounds must have at least one size, got an empty list")
    return [check_int("rounds", size, minimum=1) for size in rounds]


def is_adaptive(rounds: Any) -> bool:
    """Tell whether ``rounds`` asks for sizes that the scores decide."""
    return isinstance(rounds, str) and rounds == "adaptive"


def check_n_select(
    n_select: int | None, n_players: int, name: str = "n_select", minimum: int = 1
) -> int:
    """Return how many players are selected; by default all."""
    check_int("n_players", n_players, minimum=1)
    if n_select is None:
        return n_players
    if check_int(name, n_select, minimum=minimum) > n_players:
        raise ValueError(f"{name} must be at most {n_players}, all players, got {n_select}")
    return n_select


def path_nodes(rule: str = "midpoint", n_nodes: int = 4) -> tuple[Tensor, Tensor]:
    """Return where on the path from a selection to the input gradients are taken.

    Parameters
    ----------
    rule : str
        ``"midpoint"``, ``"gausslegendre"``, ``"trapezoid"``, another rule of
        `pyxai.attribution.IntegratedGradients`, or ``"start"``: the selection itself, which makes
        a sequential gradient.
    n_nodes : int
        At least 1; at least 2 for the trapezoid. ``"start"`` has one whatever is asked for.

    Returns
    -------
    nodes, weights : Tensor, shape [n_nodes]
        float64, 0 at the selection and 1 at the input; the weights sum to 1.

    Raises
    ------
    ValueError
        If there is no such rule, or too few nodes.

    Notes
    -----
    Nets with ReLUs make the integrand jump: there the midpoint beats Gauss-Legendre with few nodes.

    Examples
    --------
    >>> path_nodes("midpoint", 2)
    (tensor([0.2500, 0.7500], dtype=torch.float64), tensor([0.5000, 0.5000], dtype=torch.float64))
    """
    check_choice("method", rule, _PATH_RULES)
    if rule == "start":
        check_int("n_steps", n_nodes, minimum=1)
        return torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    rule = "riemann_trapezoid" if rule == "trapezoid" else rule
    nodes, weights = nodes_and_weights(rule, n_nodes)
    return nodes.clone(), weights.clone()


def _cut(sizes: list[int], total: int) -> list[int]:
    """Cut sizes off where they reach a total."""
    kept: list[int] = []
    for size in sizes:
        if total > 0 and size > 0:
            kept.append(min(size, total))
            total -= kept[-1]
    return kept
