"""One number for each player from the rounds of a selection."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai._inputs import sums_at
from pyxai.greedy.result import GreedyRounds

__all__ = ["selection_scores"]


def selection_scores(result: GreedyRounds, kind: str = "rank") -> Tensor:
    """Turn a selection into one score for each player.

    Parameters
    ----------
    result : GreedyRounds
        From `greedy_rounds`.
    kind : str
        ``"rank"``: ``n_players - position``, the same order as the selection, without ties.
        ``"raw"``: the score in the round of selection, *not* monotone over rounds.
        ``"telescoped"``: the gain ``G(S_r) - G(S_{r-1})`` of a round, shared in proportion to its
        scores, or evenly where these sum to nothing or to the wrong sign; sums to
        ``G(S_R) - G(empty)``.

    Returns
    -------
    Tensor, shape [batch, n_players]
        In the dtype of the scores. Players without a place get 0, and with ``"telescoped"`` those
        that no round reached, too.

    Raises
    ------
    ValueError
        If there is no such kind, or no values to share.

    Examples
    --------
    >>> import torch
    >>> result = GreedyRounds(
    ...     order=torch.tensor([[2, 0]]), round_index=torch.tensor([[0, 1]]),
    ...     raw=torch.tensor([[5.0, 9.0]]), n_rounds=torch.tensor([2]), n_players=3,
    ... )
    >>> selection_scores(result), selection_scores(result, "raw")
    (tensor([[2., 0., 3.]]), tensor([[9., 0., 5.]]))
    """
    check_choice("scores", kind, ("rank", "raw", "telescoped"))
    if kind == "rank":
        places = torch.arange(result.order.shape[1], device=result.order.device)
        found = (result.n_players - places).to(result.raw.dtype).expand_as(result.raw)
    else:
        found = result.raw if kind == "raw" else _shared_gains(result).to(result.raw.dtype)
    scores = found.new_zeros(len(found), result.n_players)
    return scores.scatter_(1, result.order, found)


def _shared_gains(result: GreedyRounds) -> Tensor:
    """Share the gain of each round among its players, float64 [batch, n_select]."""
    if result.values is None:
        raise ValueError("value must be given to greedy_rounds for telescoped scores, got None")
    gains = result.values.diff(dim=1)  # [batch, n_rounds]
    reached = result.round_index >= 0
    index = result.round_index.clamp(min=0)
    raw = result.raw.double().masked_fill(~reached, 0)

    def per_round(shares: Tensor) -> Tensor:
        return sums_at(index, shares, gains.shape[1])

    totals, sizes = per_round(raw), per_round(reached.double())
    # Scores that cancel tell nothing about shares: 1e-6 of their size is what float32 leaves.
    even = (totals.abs() <= 1e-6 * per_round(raw.abs())) | (totals * gains < 0)
    share = torch.where(
        even.gather(1, index),
        1 / sizes.clamp(min=1).gather(1, index),
        raw / torch.where(even, 1, totals).gather(1, index),
    )
    return (share * gains.gather(1, index)).masked_fill(~reached, 0)
