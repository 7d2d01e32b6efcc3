"""What is selected so far, and who still takes part."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.greedy.players import Choice, Value, values_of, with_players
from pyxai.greedy.result import GreedyRounds
from pyxai.ops.masks import pack_masks, unpack_masks

__all__ = ["State"]


class State:
    """What is selected so far; examples that are finished are not in ``active``."""

    def __init__(
        self, batch: int, n_players: int, count: int, places: int, device: torch.device
    ) -> None:
        self.n_players, self.count, self.places = n_players, count, places
        self.device = device
        self.selected = pack_masks(torch.zeros(batch, n_players, dtype=torch.bool, device=device))
        self.active = torch.arange(batch, device=device)
        self.taken = torch.zeros(batch, dtype=torch.int64, device=device)
        self.n_rounds = torch.zeros_like(self.taken)
        # A column more, for players that a round does not take, which is cut off in the end.
        self.order = torch.full((batch, places + 1), -1, dtype=torch.int64, device=device)
        self.round_index = torch.full_like(self.order, -1)
        self.raw: Tensor | None = None  # in the dtype of the first scores
        self.last: Tensor | None = None  # [batch, n_players], scores of the last round of each
        self.values: list[Tensor] = []
        self.residuals: list[Tensor] = []
        self.full: Tensor | None = None
        self.flat = torch.ones(batch, dtype=torch.bool, device=device)
        self.still = torch.ones(batch, dtype=torch.bool, device=device)
        self.n_done = 0

    def start(self, value: Value | None) -> None:
        """Ask for G of nothing and of all."""
        if value is None:
            return
        everyone = pack_masks(
            torch.ones(1, self.n_players, dtype=torch.bool, device=self.device)
        ).expand_as(self.selected)
        ends = values_of(value, torch.stack([self.selected, everyone], 1), self.active)
        self.values, self.full = [ends[:, 0]], ends[:, 1]
        self.still &= self.full == self.values[0]

    def see(self, scores: Tensor) -> None:
        """Keep the scores of a round."""
        if self.last is None:
            self.last = scores.new_zeros(len(self.order), self.n_players)
            self.raw = scores.new_zeros(self.order.shape)
        self.last[self.active] = scores.to(self.last.dtype)
        chosen = unpack_masks(self.selected[self.active], self.n_players)
        silent = ((scores == 0) | chosen).all(1)
        self.still[self.active] &= silent
        if self.n_done == 0:
            self.flat = silent
        if self.full is not None:
            total = scores.double().masked_fill(chosen, 0).sum(1)
            gap = torch.zeros_like(self.full)
            gap[self.active] = total - (self.full - self.values[-1])[self.active]
            self.residuals.append(gap)

    def add(self, choice: Choice) -> None:
        """Write down what a round takes."""
        assert self.raw is not None
        counts = choice.counts
        steps = torch.arange(choice.players.shape[1], device=self.device)
        column, silent = self.taken[self.active][:, None] + steps, choice.scores == 0
        if isinstance(counts, Tensor):
            fits = steps < counts[:, None]
            column, silent = torch.where(fits, column, self.places), silent | ~fits
        where = self.active[:, None], column
        self.order[where] = choice.players
        self.raw[where] = choice.scores.to(self.raw.dtype)
        self.round_index[where] = self.n_done
        self.still[self.active] &= silent.all(1)
        known = choice.selected
        self.selected[self.active] = self._with(choice) if known is None else known
        self.taken[self.active] += counts
        self.n_rounds[self.active] += 1
        self.n_done += 1

    def _with(self, choice: Choice) -> Tensor:
        """Return who is selected with those that a choice adds."""
        counts = choice.counts
        if isinstance(counts, int):
            counts = torch.full_like(self.active, counts)
        players = choice.players[:, None]
        return with_players(self.selected[self.active], players, counts[:, None])[:, 0]

    def measure(self, value: Value) -> None:
        """Ask for G(S)."""
        now = self.values[-1].clone()
        masks = self.selected[self.active][:, None]
        now[self.active] = values_of(value, masks, self.active)[:, 0]
        self.still &= now == self.values[0]
        self.values.append(now)

    def let_go(self, epsilon: float | None) -> None:
        """Let go of the examples that need no more; a look at them waits for the device."""
        done = self.taken[self.active] >= self.count
        if epsilon is not None:
            assert self.full is not None
            enough = self.values[-1] >= self.full - epsilon * self.full.abs()
            done |= enough[self.active]
        left = self.active[~done]
        if len(left) < len(self.active):  # else the same tensor says that they are the same
            self.active = left

    def order_rest(self, absolute: bool) -> None:
        """Order whom no round reached by the last scores."""
        short = (self.taken < self.places).nonzero()[:, 0]
        if not short.numel():
            return
        assert self.last is not None
        assert self.raw is not None
        last, chosen = self.last[short], unpack_masks(self.selected[short], self.n_players)
        keys = (last.abs() if absolute else last).masked_fill(chosen, -torch.inf)
        # The selected come last, and there are as many open players as there are places or more.
        ranked = keys.sort(dim=1, descending=True, stable=True).indices
        steps = torch.arange(self.places, device=self.device)
        row, column = (steps < (self.places - self.taken[short])[:, None]).nonzero(as_tuple=True)
        players = ranked[row, column]
        where = short[row], self.taken[short][row] + column
        self.order[where] = players
        self.raw[where] = last[row, players]

    def result(self) -> GreedyRounds:
        """Return what was found."""
        assert self.raw is not None
        return GreedyRounds(
            self.order[:, :-1].contiguous(),
            self.round_index[:, :-1].contiguous(),
            self.raw[:, :-1].contiguous(),
            self.n_rounds,
            self.n_players,
            torch.stack(self.values, 1) if self.values else None,
            torch.stack(self.residuals, 1) if self.residuals else None,
            self.flat,
            self.still,
        )
