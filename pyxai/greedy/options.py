"""Checks of the options of the loop that do not depend on how many players there are."""

from __future__ import annotations

from typing import Any

from pyxai._checks import check_bool, check_int, check_number
from pyxai.greedy.schedule import check_rounds, is_adaptive

__all__ = ["check_options"]


def check_options(
    *,
    rounds: Any,
    absolute: Any,
    epsilon: Any,
    shortlist: Any,
    prefix_share: Any = 0.5,
) -> None:
    """Raise if an option of `greedy_rounds` does not fit, whoever the players are.

    Raises
    ------
    TypeError
        If an option is of another kind.
    ValueError
        If it is out of range, or two do not go together.
    """
    check_rounds(rounds)
    check_bool("absolute", absolute)
    if epsilon is not None and check_number("epsilon", epsilon) < 0:
        raise ValueError(f"epsilon must be at least 0, got {epsilon!r}")
    if shortlist is not None:
        check_int("shortlist", shortlist, minimum=1)
        if is_adaptive(rounds):
            raise ValueError("shortlist must be None for adaptive rounds, got both")
    if not 0 <= check_number("prefix_share", prefix_share) <= 1:
        raise ValueError(f"prefix_share must be in [0, 1], got {prefix_share!r}")
