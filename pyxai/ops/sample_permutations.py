"""Random orders of the players, and the coalitions that grow along an order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_bool, check_dtype, check_int, check_tensor
from pyxai.ops._arguments import PERMUTATION_STREAM, check_rows, check_seed, n_words
from pyxai.ops.masks import pack_masks
from pyxai.ops.philox_random import philox_words_reference

__all__ = [
    "permutation_prefixes",
    "permutation_prefixes_reference",
    "sample_permutations",
    "sample_permutations_reference",
]


def sample_permutations(
    n_players: int,
    n_permutations: int,
    *,
    seed: int,
    example_ids: Tensor,  # [batch]
    start: int = 0,
    antithetic: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Draw uniform orders of the players.

    Parameters
    ----------
    n_players : int
        At least 1.
    n_permutations : int
        Orders for each example.
    seed : int
        From 0 to 2**64 - 1.
    example_ids : Tensor, shape [batch]
        int64 names of the examples, any values; the orders are made where they live.
    start : int
        Index of the first order; order ``(example_ids[b], start + s)`` depends on nothing else but
        the seed and ``n_players``.
    antithetic : bool
        Whether order 2k + 1 is the reverse of order 2k.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``example_ids`` lives.

    Returns
    -------
    Tensor, shape [batch, n_permutations, n_players]
        int32 players in order, the same bits on every backend.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument has the wrong type.

    References
    ----------
    .. [1] D. E. Knuth, "The Art of Computer Programming" 2, section 3.4.2, algorithm P.
    .. [2] R. Mitchell, J. Cooper, E. Frank, G. Holmes, "Sampling Permutations for Shapley Value
       Estimation", JMLR 23, 2022, for antithetic orders.
    """
    check_bool("antithetic", antithetic)
    check_int("n_players", n_players, minimum=1)
    signed_seed = check_seed(seed)
    example_ids = check_rows(example_ids, n_permutations, start, name="n_permutations")
    out = torch.empty(
        (len(example_ids), n_permutations, n_players),
        dtype=torch.int32,
        device=example_ids.device,
    )
    _C.sample_permutations(
        example_ids=example_ids,
        seed=signed_seed,
        stream=PERMUTATION_STREAM,
        start=start,
        antithetic=antithetic,
        out=out,
        backend=check_backend(example_ids.device, backend),
    )
    return out


def permutation_prefixes(permutations: Tensor, *, backend: str | None = None) -> Tensor:
    """Pack the coalitions that grow along orders, from the empty one to all players.

    Parameters
    ----------
    permutations : Tensor, shape [..., n_players]
        int32 players in order, each once.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``permutations`` lives.

    Returns
    -------
    Tensor, shape [..., n_players + 1, n_words]
        int32 packed masks; mask j holds the first j players of the order.

    Raises
    ------
    ValueError
        If a player is out of range (looked at on the CPU only; elsewhere it is left out).
    TypeError
        If ``permutations`` is not an int32 tensor.
    """
    check_tensor("permutations", permutations)
    check_dtype("permutations", permutations, (torch.int32,))
    if permutations.dim() == 0 or permutations.shape[-1] == 0:
        raise ValueError(
            f"permutations must have at least one player, got shape {list(permutations.shape)}"
        )
    *leading, n_players = permutations.shape
    if permutations.numel() and permutations.device.type == "cpu":
        low, high = (int(bound) for bound in permutations.aminmax())
        if low < 0 or high >= n_players:
            raise ValueError(
                f"permutations must be in 0..{n_players - 1}, got values from {low} to {high}"
            )
    rows = permutations.reshape(-1, n_players).contiguous()
    out = torch.empty(
        (len(rows), n_players + 1, n_words(n_players)),
        dtype=torch.int32,
        device=permutations.device,
    )
    name = check_backend(permutations.device, backend)
    _C.permutation_prefixes(permutations=rows, out=out, backend=name)
    return out.view(*leading, n_players + 1, n_words(n_players))


def below_reference(words: Iterator[int], bound: int) -> int:
    """Return a number uniform on 0 to ``bound - 1``: the product's high half, low ones rejected."""
    while True:
        product = next(words) * bound
        if product % 2**32 >= 2**32 % bound:
            return product >> 32


def sample_permutations_reference(
    n_players: int,
    n_permutations: int,
    *,
    seed: int,
    example_ids: Tensor,
    start: int = 0,
    antithetic: bool = False,
) -> Tensor:
    """Do what `sample_permutations` does, one player at a time."""
    # 64 words more than players: that many rejections do not happen.
    words = philox_words_reference(
        n_players + 64,
        n_permutations + 1,
        seed=seed,
        example_ids=example_ids,
        start=max(start - 1, 0),
        stream=PERMUTATION_STREAM,
    )
    out = torch.empty((len(example_ids), n_permutations, n_players), dtype=torch.int32)
    for b in range(len(example_ids)):
        for s in range(n_permutations):
            reverse = antithetic and (start + s) % 2 == 1
            row = iter(words[b, start + s - reverse - max(start - 1, 0)].tolist())
            order = list(range(n_players))
            for last in range(n_players - 1, 0, -1):
                chosen = below_reference(row, last + 1)
                order[last], order[chosen] = order[chosen], order[last]
            out[b, s] = torch.tensor(order[::-1] if reverse else order)
    return out


def permutation_prefixes_reference(permutations: Tensor) -> Tensor:
    """Do what `permutation_prefixes` does, with a position for every player."""
    n_players = permutations.shape[-1]
    positions = permutations.argsort(-1)
    masks = positions.unsqueeze(-2) < torch.arange(n_players + 1).unsqueeze(-1)
    return pack_masks(masks)
