"""Warnings of orders that scores have not made."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pyxai._errors import warn

__all__ = ["warn_of_flat_scores"]


def warn_of_flat_scores(
    still: Tensor, flat: Tensor, *, player: str, names: Callable[[list[int]], str], rule: str
) -> None:
    """Warn of examples that no player has anything to do with, and of gradients that are 0.

    Parameters
    ----------
    still, flat : Tensor, shape [batch]
        Those of `GreedyRounds`.
    player : str
        What a player is, in the singular.
    names : callable
        What some examples are called, with the words before them: ``"at example(s) 0, 3"``.
    rule : str
        That of the path, see `path_nodes`.
    """
    first = (flat & ~still).nonzero()[:, 0].tolist()
    if first:
        advice = (
            '; where gradients vanish without any, method="midpoint" looks further along the path'
        )
        warn(
            f"all scores of the first round are 0 {names(first)}, whose first {player} is that "
            f"of the lowest number{advice if rule == 'start' else ''}"
        )
    none = still.nonzero()[:, 0].tolist()
    if none:
        warn(f"no {player} changes the output {names(none)}; their order means nothing")
