"""Which coalitions a kernel regression asks for: pairs, whole sizes first, no coalition twice."""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyxai.game.draws import uniform
from pyxai.ops import pack_masks, sample_coalitions, unpack_masks

__all__ = ["CoalitionPairs", "first_rows", "group_rows", "kernel_pairs"]

# Below this many pairs a player, random coalitions leave the regression nearly singular, and the
# single players with their complements (an orthogonal design) have the smaller error; measured at
# 30 and 100 players on sums of products and on a maximum.
OUTER_FIRST = 1.75
# Entries of masks, up to which a choice is kept for the next call.
_KEPT = 2**20
# Sizes with at most so many pairs are listed and chosen from; of larger ones coalitions are drawn
# until they are distinct.
LISTED = 20_000
# More pairs than any budget; counts end here.
_MANY = 2**62


class CoalitionPairs(NamedTuple):
    """Coalitions S, each standing for itself and its complement; on the CPU."""

    masks: Tensor  # bool [n_pairs, n_players]
    weights: Tensor  # float64 [n_pairs], weight of a pair in the regression
    fractions: Tensor  # float64 [n_pairs], share of its size's pairs that is in; 1 = all of them
    counts: Tensor  # int64 [n_sizes], pairs of each size, from the size 1
    complete: bool  # whether every size with weight had its chance to be drawn


class _Sizes(NamedTuple):
    """The pairs of coalitions by the size of the smaller half; all float64 [n_sizes]."""

    counts: Tensor  # pairs there are
    kernel: Tensor  # Shapley kernel weight of all of them together
    share: Tensor  # how samples are shared out


def _sizes(n_players: int) -> _Sizes:
    half = n_players // 2
    counts, count = [], 1
    for chosen in range(1, half + 1):
        if count < _MANY:  # they only grow up to the middle; exact ones would get very long
            count = count * (n_players - chosen + 1) // chosen
        counts.append(min(count, _MANY))
    size = torch.arange(1, half + 1, dtype=torch.float64)
    twice = torch.full_like(size, 2.0)
    if n_players == 2 * half:  # each pair of halves is counted twice
        counts[-1] = min(math.comb(n_players, half) // 2, _MANY)
        twice[-1] = 1.0
    # All coalitions of one size weigh (n - 1) / (s (n - s)) together. Shares go with its square
    # root, the choice of least variance where residuals are alike in all sizes: between the kernel
    # itself (shap) and equal shares (leverage scores).
    kernel = twice / (size * (n_players - size))
    share = twice / (size * (n_players - size)).sqrt()
    return _Sizes(torch.tensor(counts, dtype=torch.float64), kernel, share)


def _allocate(sizes: _Sizes, n_pairs: int, outer_first: bool) -> tuple[Tensor, Tensor]:
    """Return expected pairs of each size, float64, and whether it is enumerated."""
    full = torch.zeros_like(sizes.counts, dtype=torch.bool)
    full[0] = outer_first
    while True:
        left = n_pairs - sizes.counts[full].sum()
        open_share = sizes.share[~full].sum().clamp(min=1e-300)
        expected = torch.where(full, sizes.counts, left * sizes.share / open_share)
        more = ~full & (expected >= sizes.counts - 1e-9)
        if not bool(more.any()):
            return expected, full
        full |= more


def _subsets(n_players: int, size: int) -> Tensor:
    """List the coalitions of ``size``, one of each pair, by members: int64 [n_pairs, size]."""
    middle = 2 * size == n_players  # then only the half that holds player 0
    first, picked = (1, size - 1) if middle else (0, size)
    count = math.comb(n_players - first, picked)
    # Consumed by numpy in C; torch.combinations would build all n ** size tuples first.
    flat = itertools.chain.from_iterable(itertools.combinations(range(first, n_players), picked))
    chosen = torch.from_numpy(np.fromiter(flat, np.int64, count * picked)).view(count, picked)
    return torch.cat([torch.zeros(count, first, dtype=torch.int64), chosen], 1)


def _random_subsets(sizes: Tensor, number: Tensor, n_players: int, seed: int) -> Tensor:
    """Coalition ``number`` of the random sequence of its size, bool [n_sizes, n_players]."""
    packed = sample_coalitions(
        n_players,
        1,
        seed=seed,
        example_ids=(sizes << 32) + number,
        law="fixed_size",
        size=sizes[:, None],
    )
    masks = unpack_masks(packed[:, 0], n_players)
    middle = 2 * sizes == n_players
    return torch.where((middle & ~masks[:, 0])[:, None], ~masks, masks)


def _distinct(n_draws: Tensor, n_players: int, seed: int) -> Tensor:
    """Random coalitions without repetition, the first ``n_draws[s - 1]`` of size s."""
    masks = torch.zeros(0, n_players, dtype=torch.bool)
    drawn = torch.zeros_like(n_draws)
    missing = n_draws
    while bool(missing.any()):
        sizes = torch.repeat_interleave(torch.arange(1, n_draws.numel() + 1), missing)
        within = torch.arange(sizes.numel()) - (missing.cumsum(0) - missing)[sizes - 1]
        masks = torch.cat(
            [masks, _random_subsets(sizes, drawn[sizes - 1] + within, n_players, seed)]
        )
        drawn = drawn + missing
        masks = masks[first_rows(pack_masks(masks))]
        missing = n_draws - masks.sum(1).bincount(minlength=n_draws.numel() + 1)[1:]
    return masks


def group_rows(words: Tensor) -> Tensor:
    """Return a number from 0 for each row of packed masks [n, n_words], the same for equal rows."""
    # Whole numbers are sorted many times as fast as rows, in steps that soon let a signal through.
    key = words[:, 0].to(torch.int64)
    for place, word in enumerate(words.unbind(1)[1:]):
        group = torch.unique(key, return_inverse=True)[1] if place else key
        key = (group << 32) | (word.to(torch.int64) & 0xFFFFFFFF)
    found: Tensor = torch.unique(key, return_inverse=True)[1]
    return found


def first_rows(words: Tensor) -> Tensor:
    """Return the ascending indices of rows that do not repeat an earlier one, int64."""
    group = group_rows(words)
    first = torch.full((int(group.max()) + 1,), words.shape[0], dtype=torch.int64)
    first.scatter_reduce_(0, group, torch.arange(words.shape[0]), "amin")
    return first.sort().values


def _round(expected: Tensor, full: Tensor, seed: int) -> Tensor:
    """Whole numbers with mean ``expected`` and the same sum: systematic sampling."""
    offset = uniform(torch.zeros(1, dtype=torch.int64), 1, seed=seed, stream=1).item()
    steps = torch.where(full, 0.0, expected).cumsum(0)
    bounds = (steps + offset).floor()
    drawn = torch.diff(bounds, prepend=torch.zeros(1, dtype=torch.float64))
    return torch.where(full, expected, drawn).round().to(torch.int64)


def kernel_pairs(
    n_players: int, n_pairs: int, seed: int, at_least: Tensor | None = None
) -> CoalitionPairs:
    """Choose the coalitions of a Shapley kernel regression.

    Coalitions come with their complements, which removes every effect of even order from the error
    [1]_. Sizes whose share of the budget reaches all their coalitions are enumerated; of the others
    distinct random ones are taken. Their weights make the sums of the regression unbiased.

    Parameters
    ----------
    n_players : int
        At least 2.
    n_pairs : int
        At least 1; more than there are is the same as all.
    seed : int
        The same seed gives the same coalitions, whatever the device.
    at_least : Tensor, shape [n_sizes], optional
        ``counts`` of an earlier choice with this seed, whose coalitions will all be in again.

    Returns
    -------
    CoalitionPairs

    References
    ----------
    .. [1] I. Covert, S.-I. Lee, "Improving KernelSHAP", AISTATS 2021, section 4.2.
    .. [2] C. Musco, R. T. Witter, "Provably Accurate Shapley Value Estimation via Leverage Score
       Sampling", ICLR 2025.
    """
    counts = None if at_least is None else tuple(at_least.tolist())
    choose = _chosen if n_pairs * n_players <= _KEPT else _chosen.__wrapped__
    pairs = choose(n_players, n_pairs, seed, counts)
    return pairs._replace(
        masks=pairs.masks.clone(),
        weights=pairs.weights.clone(),
        fractions=pairs.fractions.clone(),
        counts=pairs.counts.clone(),
    )


# Half a millisecond for 10 players and 1000 pairs, a quarter of a call on a small model.
@functools.lru_cache(maxsize=32)
def _chosen(
    n_players: int, n_pairs: int, seed: int, at_least: tuple[int, ...] | None
) -> CoalitionPairs:
    sizes = _sizes(n_players)
    if n_pairs < n_players and sizes.counts[0] > n_pairs:
        # As many single players as there is room for; no other size has a chance.
        expected = torch.zeros_like(sizes.counts)
        expected[0] = n_pairs
        drawn = expected.to(torch.int64)
    else:
        expected, full = _allocate(sizes, n_pairs, n_pairs < OUTER_FIRST * n_players)
        expected = torch.minimum(expected, sizes.counts)
        drawn = torch.minimum(_round(expected, full, seed), sizes.counts.to(torch.int64))
    if at_least is not None:
        earlier = torch.tensor(at_least)
        drawn = torch.maximum(drawn, earlier)
        expected = torch.maximum(expected, earlier.double())
    masks = _first_coalitions(sizes, drawn, n_players, seed)
    which = masks.sum(1) - 1
    return CoalitionPairs(
        masks,
        (sizes.kernel / expected.clamp(min=1e-300))[which],
        (drawn / sizes.counts)[which],
        drawn,
        complete=bool((expected > 0).all()),
    )


def _first_coalitions(sizes: _Sizes, drawn: Tensor, n_players: int, seed: int) -> Tensor:
    """Return the first ``drawn[s - 1]`` coalitions of each size in the order of the seed."""
    listed = (sizes.counts <= LISTED) | (drawn == sizes.counts)
    parts = [_distinct(torch.where(listed, 0, drawn), n_players, seed)]
    for size in ((listed & (drawn > 0)).nonzero()[:, 0] + 1).tolist():
        subsets = _subsets(n_players, size)
        if int(drawn[size - 1]) < subsets.shape[0]:
            order = uniform(torch.arange(subsets.shape[0]), 1, seed=seed, stream=1 + size)
            subsets = subsets[order[:, 0].argsort()[: int(drawn[size - 1])]]
        masks = torch.zeros(subsets.shape[0], n_players, dtype=torch.bool)
        parts.append(masks.scatter_(1, subsets, True))
    masks = torch.cat(parts)
    return masks[masks.sum(1).argsort(stable=True)]
