"""The loop: rounds of scores, of the players that they name, and of those who need no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, check_shape, check_tensor
from pyxai.greedy.players import Choice, Score, Value, best, exact_gains, prefix_check, values_of
from pyxai.greedy.schedule import check_n_select, round_sizes
from pyxai.ops.masks import pack_masks, unpack_masks

__all__ = ["GreedyRounds", "greedy_rounds"]


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
    """

    order: Tensor
    round_index: Tensor
    raw: Tensor
    n_rounds: Tensor
    n_players: int
    values: Tensor | None = None
    residuals: Tensor | None = None

    def masks(self, n_selected: int) -> Tensor:
        """Return who the first ``n_selected`` are, bool [batch, n_players]."""
        shown = torch.zeros(
            len(self.order), self.n_players, dtype=torch.bool, device=self.order.device
        )
        return shown.scatter_(1, self.order[:, :n_selected], True)


def greedy_rounds(
    score: Score,
    n_examples: int,
    n_players: int,
    *,
    n_select: int | None = None,
    n_order: int | None = None,
    rounds: str | int | Sequence[int] = "geometric",
    absolute: bool = False,
    value: Value | None = None,
    epsilon: float | None = None,
    shortlist: int | None = None,
    prefix_share: float = 0.5,
    device: torch.device | str | None = None,
) -> GreedyRounds:
    """Select players in rounds, for several examples at once.

    Parameters
    ----------
    score : callable
        ``score(selected, examples)``: int32 masks [active, n_words] of what is selected (see
        `pyxai.ops.pack_masks`; not to be changed) and int64 indices [active] of the examples they
        belong to, to scores of all players [active, n_players]. Scores of selected players are not
        looked at. Called once a round.
    n_examples, n_players : int
        Examples are independent; all have the same number of players.
    n_select : int, optional
        How many players rounds select; default: all.
    n_order : int, optional
        How many players get a place in the order, ``n_select`` at least, which is the default.
    rounds : "geometric", "adaptive", int or sequence of int
        See `round_sizes`. ``"adaptive"`` takes, in each round and for each example, the longest of
        the prefixes of 1, 2, 4, ... best players up to which gains keep what scores promise.
    absolute : bool
        Whether to select by absolute score.
    value : callable, optional
        ``value(selected, examples) -> [rows]`` gives G(S) for masks [rows, n_words] of examples
        [rows]; rows of one example lie side by side, the same number for each. Called once a
        round for its result, and where ``epsilon``, ``shortlist`` or ``"adaptive"`` need more.
    epsilon : float, optional
        Stop an example when ``G(S) >= G([n]) - epsilon * |G([n])|``; the others go on without it.
    shortlist : int, optional
        Order this many candidates of each round by their exact gains ``G(S + i) - G(S)``. Rounds
        that take as many or more stay as the scores say.
    prefix_share : float
        For ``"adaptive"``: which share of the sum of their scores players must gain together.
    device : torch.device, optional
        Where masks are kept and scores come from; default: the CPU.

    Returns
    -------
    GreedyRounds

    Raises
    ------
    ValueError
        If there are more rounds than players, an option lacks ``value``, or a score or a value is
        NaN or of another shape.
    TypeError
        If an argument is of another kind.

    Notes
    -----
    Ties go to the lower index. Rows of different examples never meet, so an example alone gives
    what it gives in a batch, if ``score`` does.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023,
       algorithm 1.

    Examples
    --------
    The third player is worth less than either twin, but more than a second twin:

    >>> import torch
    >>> from pyxai.ops import unpack_masks
    >>> def gains(selected, examples):
    ...     twin = unpack_masks(selected, 3)[:, :2].any(1, keepdim=True)
    ...     return torch.cat([4.0 * ~twin, 4.0 * ~twin, torch.ones(len(examples), 1)], 1)
    >>> greedy_rounds(gains, 1, 3, rounds=1).order
    tensor([[0, 2, 1]])
    """
    check_int("n_examples", n_examples, minimum=1)
    count = check_n_select(n_select, n_players)
    if isinstance(rounds, str):
        check_choice("rounds", rounds, ("geometric", "adaptive"))
    adaptive = rounds == "adaptive"
    options = _Options(absolute, value, epsilon, shortlist, prefix_share, adaptive)
    options.check()
    sizes = None if adaptive else round_sizes(rounds, n_players, count)
    where = torch.device("cpu" if device is None else device)
    places = count if n_order is None else check_n_select(n_order, n_players, "n_order", count)
    state = _State(n_examples, n_players, count, places, where)
    state.start(value)
    while state.active.numel() and (sizes is None or state.n_done < len(sizes)):
        found = score(state.selected[state.active], state.active)
        state.see(_checked(found, len(state.active), n_players))
        state.add(_choose(state, options, None if sizes is None else sizes[state.n_done]))
        state.measure(value, epsilon)
    state.order_rest(absolute)
    return state.result()


@dataclass(frozen=True)
class _Options:
    """How a round chooses."""

    absolute: bool
    value: Value | None
    epsilon: float | None
    shortlist: int | None
    prefix_share: float
    adaptive: bool

    def check(self) -> None:
        """Raise if options do not go together."""
        if self.epsilon is not None and not self.epsilon >= 0:
            raise ValueError(f"epsilon must be at least 0, got {self.epsilon!r}")
        if self.shortlist is not None:
            check_int("shortlist", self.shortlist, minimum=1)
            if self.adaptive:
                raise ValueError("shortlist must be None for adaptive rounds, got both")
        if not 0 <= self.prefix_share <= 1:
            raise ValueError(f"prefix_share must be in [0, 1], got {self.prefix_share!r}")
        needs = {"epsilon": self.epsilon, "shortlist": self.shortlist}
        needing = [name for name, given in needs.items() if given is not None]
        needing += ["adaptive rounds"] if self.adaptive else []
        if self.value is None and needing:
            raise ValueError(f"value must be given for {' and '.join(needing)}, got None")


class _State:
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
        self.order = torch.full((batch, places), -1, dtype=torch.int64, device=device)
        self.round_index = torch.full_like(self.order, -1)
        self.raw: Tensor | None = None  # in the dtype of the first scores
        self.last: Tensor | None = None  # [batch, n_players], scores of the last round of each
        self.values: list[Tensor] = []
        self.residuals: list[Tensor] = []
        self.full: Tensor | None = None
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

    def see(self, scores: Tensor) -> None:
        """Keep the scores of a round."""
        if self.last is None:
            self.last = scores.new_zeros(len(self.order), self.n_players)
            self.raw = scores.new_zeros(self.order.shape)
        self.last[self.active] = scores.to(self.last.dtype)
        if self.full is not None:
            chosen = unpack_masks(self.selected[self.active], self.n_players)
            total = scores.double().masked_fill(chosen, 0).sum(1)
            gap = torch.zeros_like(self.full)
            gap[self.active] = total - (self.full - self.values[-1])[self.active]
            self.residuals.append(gap)

    def add(self, choice: Choice) -> None:
        """Write down what a round takes."""
        assert self.raw is not None
        rows, width = self.active[:, None], choice.players.shape[1]
        counts = torch.as_tensor(choice.counts, device=self.device).expand(len(rows))
        steps = torch.arange(width, device=self.device)
        fits = steps < counts[:, None]
        row, column = fits.nonzero(as_tuple=True)
        where = self.active[row], self.taken[self.active][row] + column
        self.order[where] = choice.players[row, column]
        self.raw[where] = choice.scores[row, column].to(self.raw.dtype)
        self.round_index[where] = self.n_done
        added = torch.zeros(
            len(rows), 32 * self.selected.shape[1], dtype=torch.bool, device=self.device
        )
        added[row, choice.players[row, column]] = True
        self.selected[self.active] |= pack_masks(added)
        self.taken[self.active] += counts
        self.n_rounds[self.active] += 1
        self.n_done += 1

    def measure(self, value: Value | None, epsilon: float | None) -> None:
        """Ask for G(S) and let go of the examples that need no more."""
        done = self.taken[self.active] >= self.count
        if value is not None:
            assert self.full is not None
            now = self.values[-1].clone()
            masks = self.selected[self.active][:, None]
            now[self.active] = values_of(value, masks, self.active)[:, 0]
            self.values.append(now)
            if epsilon is not None:
                enough = now >= self.full - epsilon * self.full.abs()
                done |= enough[self.active]
        self.active = self.active[~done]

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
        for row, open_players in zip(short.tolist(), ranked, strict=True):
            first = int(self.taken[row])
            rest = open_players[: self.places - first]
            self.order[row, first:] = rest
            self.raw[row, first:] = self.last[row, rest]

    def result(self) -> GreedyRounds:
        """Return what was found."""
        assert self.raw is not None
        return GreedyRounds(
            self.order,
            self.round_index,
            self.raw,
            self.n_rounds,
            self.n_players,
            torch.stack(self.values, 1) if self.values else None,
            torch.stack(self.residuals, 1) if self.residuals else None,
        )


def _choose(state: _State, options: _Options, size: int | None) -> Choice:
    """Return what the active examples take in this round."""
    assert state.last is not None
    scores, selected = state.last[state.active], state.selected[state.active]
    if size is None:
        assert options.value is not None
        left = state.count - state.taken[state.active]
        candidates = best(scores, selected, int(left.max()), options.absolute)
        now = state.values[-1][state.active]
        return prefix_check(
            candidates, left, selected, state.active, options.value, now, options.prefix_share
        )
    open_players = state.n_players - int(state.taken[state.active[0]])
    width = min(options.shortlist or 0, open_players)
    if width <= size:
        return best(scores, selected, size, options.absolute)
    assert options.value is not None
    candidates = best(scores, selected, width, options.absolute)
    now = state.values[-1][state.active]
    return exact_gains(candidates, size, selected, state.active, options.value, now)


def _checked(scores: Tensor, active: int, n_players: int) -> Tensor:
    """Return scores of the right shape, all finite."""
    check_tensor("score", scores)
    check_shape("score", scores, [active, n_players])
    check_finite("score", scores)
    return scores.detach()
