"""Which players a round takes: by score, by exact gains of a shortlist, or by a prefix check."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_shape, check_tensor
from pyxai._deferred_checks import check_finite_later
from pyxai.ops.greedy_select import greedy_select
from pyxai.ops.masks import pack_masks

__all__ = [
    "Choice",
    "Score",
    "Value",
    "best",
    "exact_gains",
    "prefix_check",
    "values_of",
    "with_players",
]

Score = Callable[[Tensor, Tensor], Tensor]
"""``score(selected, examples)``: int32 masks [active, n_words] and int64 indices [active] of the
examples that are not finished, to scores of all players [active, n_players]."""

Value = Callable[[Tensor, Tensor], Tensor]
"""``value(selected, examples)``: masks [rows, n_words] and the example of each row to G(S), [rows].
Rows of one example lie side by side, and every example has the same number of them."""


class Choice(NamedTuple):
    """What a round adds: the first ``counts[b]`` of each row."""

    players: Tensor  # int64 [active, width]
    scores: Tensor  # [active, width]
    counts: Tensor | int  # int64 [active], or one number for all
    selected: Tensor | None = None  # int32 [active, n_words], theirs besides, where it is known


def best(scores: Tensor, selected: Tensor, size: int, absolute: bool) -> Choice:
    """Take the players of the largest scores; ties go to the lower index."""
    selected = selected.clone()
    players, chosen = greedy_select(scores, selected, size, absolute=absolute)
    return Choice(players, chosen, size, selected)


def exact_gains(
    choice: Choice,
    size: int,
    selected: Tensor,
    examples: Tensor,
    value: Value,
    now: Tensor,
    absolute: bool,
) -> Choice:
    """Order a shortlist by ``G(S + i) - G(S)`` and take the first.

    Parameters
    ----------
    choice : Choice
        The shortlist, the same number of players for every example.
    size : int
        How many to take.
    selected, examples : Tensor, shape [active, n_words], [active]
        The selections, and whose they are.
    value : callable
        See `Value`.
    now : Tensor, shape [active]
        ``G(S)``.
    absolute : bool
        Whether to order by absolute gain.

    Returns
    -------
    Choice
        With exact gains for scores, with sign; equal gains stay in the order of the shortlist.
    """
    masks = with_players(selected, choice.players[..., None], torch.ones_like(choice.players))
    gains = values_of(value, masks, examples) - now[:, None]
    keys = gains.abs() if absolute else gains
    places = keys.sort(dim=1, descending=True, stable=True).indices[:, :size]
    chosen = gains.gather(1, places).to(choice.scores.dtype)
    return Choice(choice.players.gather(1, places), chosen, size)


def prefix_check(
    choice: Choice,
    left: Tensor,
    selected: Tensor,
    examples: Tensor,
    value: Value,
    now: Tensor,
    share: float,
) -> Choice:
    """Take as many of the best players as keep what their scores promise.

    Prefixes of 1, 2, 4, ... players are tried at once. The longest is taken such that it and all
    shorter ones fall short of the sum of their scores by at most ``(1 - share) * |sum|``; one
    player at least. The shorter ones count because the prefix of all players gains exactly what
    complete scores promise, whatever lies between.

    Parameters
    ----------
    choice : Choice
        Candidates, the best first.
    left : Tensor, shape [active]
        int64, how many players each example may still take.
    selected, examples, value, now
        As for `exact_gains`.
    share : float
        In [0, 1].

    Returns
    -------
    Choice
        The same candidates, with a count for each example.
    """
    width = choice.players.shape[1]
    steps = [2**power for power in range(width.bit_length())]
    steps += [width] if steps[-1] < width else []
    counts = torch.tensor(steps, device=left.device).minimum(left[:, None])  # [active, n_prefixes]
    shown = choice.players[:, None].expand(-1, len(steps), -1)
    gains = values_of(value, with_players(selected, shown, counts), examples) - now[:, None]
    open_scores = choice.scores.double().masked_fill(choice.players < 0, 0)
    promised = open_scores.cumsum(1).gather(1, counts - 1)
    kept = (gains >= promised - (1 - share) * promised.abs()).long().cumprod(1)
    return choice._replace(counts=(counts * kept).amax(1).clamp(min=1), selected=None)


def values_of(value: Value, masks: Tensor, examples: Tensor) -> Tensor:
    """Return G of several masks for each example, [active, n_masks] from [active, n_masks, words].

    Raises ``ValueError`` if a value is not finite or their number is wrong.
    """
    count = masks.shape[1]
    found = check_tensor("value", value(masks.flatten(0, 1), examples.repeat_interleave(count)))
    check_shape("value", found, [len(examples) * count])
    check_finite_later("value", found)
    return found.double().view(-1, count)


def with_players(selected: Tensor, players: Tensor, counts: Tensor) -> Tensor:
    """Add the first ``counts`` of ``players`` [active, n_masks, width] to [active, n_words]."""
    n_bits = 32 * selected.shape[-1]
    taken = torch.arange(players.shape[-1], device=players.device) < counts[..., None]
    # What is not taken goes to a bit of its own, which is cut off.
    index = players.masked_fill(~taken | (players < 0), n_bits)
    added = torch.zeros(*players.shape[:2], n_bits + 1, dtype=torch.bool, device=players.device)
    added.scatter_(2, index, torch.ones_like(index, dtype=torch.bool))
    return pack_masks(added[..., :n_bits]) | selected[:, None]
