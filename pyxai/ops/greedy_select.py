"""The players to add next: those of the largest scores that are not selected yet."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_bool, check_int, check_tensor
from pyxai.ops._arguments import accumulate_dtype, check_inputs, flat_selected
from pyxai.ops.masks import pack_masks, unpack_masks
from pyxai.ops.player_sum import player_sum, player_sum_reference

__all__ = ["greedy_select", "greedy_select_reference"]


def greedy_select(
    scores: Tensor,  # [batch, *features]
    selected: Tensor,  # [batch, n_words]
    n_select: int,
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    absolute: bool = False,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the best players of each example to its selection.

    Scores are summed over the features of each player; of the players outside of ``selected`` the
    ``n_select`` with the largest sums are taken and their bits set.

    Parameters
    ----------
    scores : Tensor, shape [batch, *features]
        Any unit. float32, float64, bfloat16 or float16.
    selected : Tensor, shape [batch, n_words]
        int32 packed mask, contiguous; **written to**.
    n_select : int
        How many players to add to each example.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features of nobody; default: every feature is its own.
    n_players : int, optional
        Number of players; needed with ``players``.
    absolute : bool
        Whether to compare absolute sums.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``scores`` lives.

    Returns
    -------
    indices : Tensor, shape [batch, n_select]
        int64 players, the best first; equal sums by number, NaN last; -1 where no player is left.
    player_scores : Tensor, shape [batch, n_select]
        Their sums, with sign, in the unit of the scores; -inf where no player is left. float64 for
        float64 and float32 otherwise.

    Raises
    ------
    ValueError
        If a shape, a device or a number does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    Deterministic and the same on every backend; nothing waits for the device. Cost on a GPU:
    eight reads of the sums and ``n_select**2`` comparisons per example.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023,
       algorithm 1.
    """
    check_bool("absolute", absolute)
    features = check_inputs(scores, "scores")
    count = features if players is None and n_players is None else n_players
    sums = player_sum(scores, players, n_players=n_players, backend=backend).double()
    check_int("n_select", n_select, minimum=0)
    if n_select > sums.shape[1]:
        raise ValueError(f"n_select must be at most {sums.shape[1]} players, got {n_select}")
    check_tensor("selected", selected)
    flat_selected(selected, scores, count)
    if not selected.is_contiguous():
        raise ValueError(f"selected must be contiguous, got strides {list(selected.stride())}")
    shape = (sums.shape[0], n_select)
    indices = torch.empty(shape, dtype=torch.int64, device=scores.device)
    chosen = torch.empty(shape, dtype=torch.float64, device=scores.device)
    _C.greedy_select(
        sums=sums,
        selected=selected,
        n_select=n_select,
        absolute=absolute,
        indices=indices,
        scores=chosen,
        backend=check_backend(scores.device, backend),
    )
    return indices, chosen.to(accumulate_dtype(scores.dtype))


def greedy_select_reference(
    scores: Tensor,
    selected: Tensor,
    n_select: int,
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    absolute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Do what `greedy_select` does, plainly and in float64, one player at a time."""
    sums = player_sum_reference(scores, players, n_players=n_players)
    n = sums.shape[1]
    chosen = unpack_masks(selected, n)
    indices = torch.full((len(sums), n_select), -1, dtype=torch.int64)
    values = torch.full((len(sums), n_select), -torch.inf, dtype=torch.float64)
    for b in range(len(sums)):
        for k in range(n_select):
            open_players = [i for i in range(n) if not chosen[b, i]]
            if not open_players:
                break

            def rank(i: int, row: Tensor = sums[b]) -> tuple[bool, float, int]:
                value = float(row[i].abs() if absolute else row[i])
                return (value != value, -value if value == value else 0.0, i)

            best = min(open_players, key=rank)
            chosen[b, best] = True
            indices[b, k], values[b, k] = best, sums[b, best]
    selected.copy_(pack_masks(chosen))
    return indices, values
