"""Who was selected when: what the loop returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["GreedyRounds"]


@dataclass(frozen=True)
class GreedyRounds:
    """Who was selected when, and what for.

    Attributes
    ----------
    order : Tensor, shape [batch, n_order]
        int64 players, the first selected first.
    round_index : Tensor, shape [batch, n_order]
        int64 round, from 0, in which each was selected; -1 for those that no round reached, who
        follow in the order of the last scores.
    raw : Tensor, shape [batch, n_order]
        Score of each in the round that selected it (of the last round, if none did), with sign;
        its exact gain where a shortlist was re-ranked. Not comparable between rounds.
    n_rounds : Tensor, shape [batch]
        int64, rounds of each example.
    n_players : int
        How many players there are.
    values : Tensor, shape [batch, R + 1], or None
        float64 G(S) before the first round and after each; the last value of an example is
        repeated. None without ``value``.
    residuals : Tensor, shape [batch, R], or None
        float64 sum of the scores of all open players minus ``G([n]) - G(S)``, at the start of each
        round, which is 0 for scores that are complete; 0 after an example's last round. None
        without ``value``.
    flat : Tensor, shape [batch], or None
        bool, whether all scores of the first round are 0, which then tell nothing of who is first.
    still : Tensor, shape [batch], or None
        bool, whether nothing tells one player from another: all scores and exact gains are 0 in all
        rounds, and so are all differences of the values, if there are any.
    """

    order: Tensor
    round_index: Tensor
    raw: Tensor
    n_rounds: Tensor
    n_players: int
    values: Tensor | None = None
    residuals: Tensor | None = None
    flat: Tensor | None = None
    still: Tensor | None = None

    def masks(self, n_selected: int) -> Tensor:
        """Return who the first ``n_selected`` are, bool [batch, n_players]."""
        shown = torch.zeros(
            len(self.order), self.n_players, dtype=torch.bool, device=self.order.device
        )
        return shown.scatter_(1, self.order[:, :n_selected], True)
