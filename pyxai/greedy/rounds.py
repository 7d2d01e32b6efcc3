"""The loop: rounds of scores, of the players that they name, and of those who need no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_shape, check_tensor
from pyxai._deferred_checks import check_finite_later, checked_at_the_end
from pyxai.greedy.options import RoundOptions
from pyxai.greedy.players import Choice, Score, Value, best, exact_gains, prefix_check
from pyxai.greedy.result import GreedyRounds
from pyxai.greedy.schedule import check_n_select, round_sizes
from pyxai.greedy.state import State

__all__ = ["greedy_rounds"]


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
    progress: Callable[[int], Any] | None = None,
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
        Whether to select by absolute score, from a shortlist by absolute gain.
    value : callable, optional
        ``value(selected, examples) -> [rows]`` gives G(S) for masks [rows, n_words] of examples
        [rows]; rows of one example lie side by side, the same number for each. Called once a
        round for its result, and where ``epsilon``, ``shortlist`` or ``"adaptive"`` need more.
    epsilon : float, optional
        Stop an example when ``G(S) >= G([n]) - epsilon * |G([n])|``; the others go on without it.
    shortlist : int, optional
        Order this many candidates of each round, or all that are open, by their exact gains
        ``G(S + i) - G(S)``. Rounds that take as many or more stay as the scores say.
    prefix_share : float
        For ``"adaptive"``: which share of the sum of their scores players must gain together.
    device : torch.device, optional
        Where masks are kept and scores come from; default: the CPU.
    progress : callable, optional
        Called after each round with the number of players that it has added, over all examples; an
        example that stops early counts as done. The numbers sum to what rounds were to select.

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
    options = RoundOptions(rounds, absolute, epsilon, shortlist, prefix_share)
    options.check_values(value is not None)
    sizes = None if options.adaptive else round_sizes(rounds, n_players, count)
    where = torch.device("cpu" if device is None else device)
    places = count if n_order is None else check_n_select(n_order, n_players, "n_order", count)
    state = State(n_examples, n_players, count, places, where)
    planned = n_examples * (count if sizes is None else sum(sizes))
    told = 0
    with checked_at_the_end():
        state.start(value)
        while state.active.numel() and (sizes is None or state.n_done < len(sizes)):
            found = score(state.selected[state.active], state.active)
            state.see(_checked(found, len(state.active), n_players))
            state.add(_choose(state, options, value, sizes))
            if value is not None:
                state.measure(value)
            if sizes is None or epsilon is not None:  # else all end together
                state.let_go(epsilon)
            if progress is not None:
                left = _left(state, sizes)
                progress(planned - left - told)
                told = planned - left
    state.order_rest(absolute)
    return state.result()


def _left(state: State, sizes: list[int] | None) -> int:
    """Return how many players rounds are still to select, over all examples."""
    if sizes is None:
        return len(state.active) * state.count - int(state.taken[state.active].sum())
    return len(state.active) * sum(sizes[state.n_done :])


def _choose(
    state: State, options: RoundOptions, value: Value | None, sizes: list[int] | None
) -> Choice:
    """Return what the active examples take in this round."""
    assert state.last is not None
    scores, selected = state.last[state.active], state.selected[state.active]
    if sizes is None:
        assert value is not None
        left = state.count - state.taken[state.active]
        candidates = best(scores, selected, int(left.max()), options.absolute)
        now = state.values[-1][state.active]
        return prefix_check(
            candidates, left, selected, state.active, value, now, options.prefix_share
        )
    size = sizes[state.n_done]
    if options.shortlist is None or options.shortlist <= size:
        return best(scores, selected, size, options.absolute)
    assert value is not None
    # All active examples have taken the same number. Where no more are open than the round takes,
    # their gains still order them.
    width = min(options.shortlist, state.n_players - sum(sizes[: state.n_done]))
    candidates = best(scores, selected, width, options.absolute)
    now = state.values[-1][state.active]
    return exact_gains(candidates, size, selected, state.active, value, now, options.absolute)


def _checked(scores: Tensor, active: int, n_players: int) -> Tensor:
    """Return scores of the right shape, all finite."""
    check_tensor("score", scores)
    check_shape("score", scores, [active, n_players])
    check_finite_later("score", scores)
    return scores.detach()
