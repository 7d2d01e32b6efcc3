"""Random coalitions of the players as packed masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import (
    check_bool,
    check_choice,
    check_dtype,
    check_finite,
    check_int,
    check_shape,
    describe,
)
from pyxai.ops._arguments import COALITION_STREAM, MASK_BITS, check_rows, check_seed, n_words
from pyxai.ops.masks import pack_masks
from pyxai.ops.philox_random import philox_words_reference
from pyxai.ops.sample_permutations import (
    below_reference,
    permutation_prefixes,
    permutation_prefixes_reference,
    sample_permutations,
    sample_permutations_reference,
)

__all__ = ["sample_coalitions", "sample_coalitions_reference", "shapley_kernel_size_weights"]

_LAWS = ("bernoulli", "fixed_size", "kernel", "permutation")


def shapley_kernel_size_weights(n_players: int) -> Tensor:
    """Return the total weight that the Shapley kernel gives to coalitions of each size.

    ``(n - 1) / (s (n - s))`` for sizes s from 1 to n - 1, and 0 for the empty and the full
    coalition, whose values are constraints.

    Parameters
    ----------
    n_players : int
        At least 1.

    Returns
    -------
    Tensor, shape [n_players + 1]
        float64 weights; they do not sum to 1.

    Raises
    ------
    ValueError
        If ``n_players`` is less than 1.

    References
    ----------
    .. [1] S. M. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, theorem 2.
    """
    check_int("n_players", n_players, minimum=1)
    sizes = torch.arange(1, n_players, dtype=torch.float64)
    weights = torch.zeros(n_players + 1, dtype=torch.float64)
    weights[1:-1] = (n_players - 1) / (sizes * (n_players - sizes))
    return weights


def sample_coalitions(
    n_players: int,
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,  # [batch]
    law: str = "bernoulli",
    probability: float | Tensor = 0.5,
    size: int | Tensor | None = None,
    size_weights: Tensor | None = None,
    paired: bool = False,
    start: int = 0,
    device: torch.device | str | None = None,
    backend: str | None = None,
) -> Tensor:
    """Draw coalitions.

    Row ``(example_ids[b], start + s)`` depends on the seed and on the law's parameters for it, not
    on the batch, on ``n_samples`` or on the chunks in which samples are drawn.

    Parameters
    ----------
    n_players : int
        At least 1.
    n_samples : int
        Coalitions for each example.
    seed : int
        From 0 to 2**64 - 1.
    example_ids : Tensor, shape [batch]
        int64 names of the examples, any values.
    law : str
        ``"bernoulli"``: every player independently with ``probability``.
        ``"fixed_size"``: a uniform subset of ``size`` players.
        ``"kernel"``: a size drawn with ``size_weights``, then a uniform subset of it.
        ``"permutation"``: sample ``j + k (n_players + 1)`` is the set of the first j players of
        order k of `sample_permutations`.
    probability : float or Tensor, shape [n_samples] or [batch, n_samples]
        For ``"bernoulli"``, rounded to a multiple of 2**-32; a tensor is float64.
    size : int or Tensor, shape [n_samples] or [batch, n_samples]
        For ``"fixed_size"``; a tensor is int64. With ``paired``, an int is the size of even
        samples, and a tensor must hold ``n_players`` minus the size before it at odd samples.
    size_weights : Tensor, shape [n_players + 1], optional
        For ``"kernel"``: float64 weights of sizes 0 to ``n_players``, not negative, of any sum;
        default: `shapley_kernel_size_weights`.
    paired : bool
        Whether sample 2k + 1 is the complement of sample 2k; for ``"permutation"``, whether orders
        come in antithetic pairs. ``probability`` is then that of even samples.
    start : int
        Index of the first sample.
    device : torch.device or str, optional
        Where the masks are made; default: where ``example_ids`` lives.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: by ``device``.

    Returns
    -------
    Tensor, shape [batch, n_samples, n_words]
        int32 packed masks, the same bits on every backend.

    Raises
    ------
    ValueError
        If a number is out of range or an argument does not belong to the law. Values of tensors on
        a CUDA device are not looked at; they are brought into range.
    TypeError
        If a dtype does not match.

    References
    ----------
    .. [1] S. M. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, theorem 2.
    .. [2] I. Covert, S.-I. Lee, "Improving KernelSHAP: Practical Shapley Value Estimation via
       Linear Regression", AISTATS 2021, section 3.2, for paired sampling.
    """
    check_bool("paired", paired)
    check_int("n_players", n_players, minimum=1)
    if n_players >= 2**31:
        raise ValueError(f"n_players must be less than 2**31, got {n_players}")
    signed_seed = check_seed(seed)
    example_ids = check_rows(example_ids, n_samples, start)
    if device is not None:
        example_ids = example_ids.to(device)
    check_choice("law", law, _LAWS)
    _check_law_arguments(law, probability, size, size_weights)
    if law == "permutation":
        first, skipped = divmod(start, n_players + 1)
        orders = sample_permutations(
            n_players,
            -(-(skipped + n_samples) // (n_players + 1)),
            seed=seed,
            example_ids=example_ids,
            start=first,
            antithetic=paired,
            backend=backend,
        )
        masks = permutation_prefixes(orders, backend=backend).flatten(1, 2)
        return masks[:, skipped : skipped + n_samples].contiguous()
    rows = (len(example_ids), n_samples)
    if law == "bernoulli":
        table = _probability_table(probability, rows, example_ids.device, paired)
    elif law == "fixed_size":
        table = _size_table(n_players, size, rows, example_ids.device, paired, start)
    else:
        table = _cumulated_sizes(n_players, size_weights).to(example_ids.device)
    out = torch.empty((*rows, n_words(n_players)), dtype=torch.int32, device=example_ids.device)
    _C.sample_coalitions(
        example_ids=example_ids,
        seed=signed_seed,
        stream=COALITION_STREAM,
        start=start,
        law=law,
        paired=paired,
        n_players=n_players,
        table=table,
        out=out,
        backend=check_backend(example_ids.device, backend),
    )
    return out


def _check_law_arguments(
    law: str, probability: float | Tensor, size: object, size_weights: object
) -> None:
    """Raise if an argument was given that ``law`` does not read, or one lacks that it does."""
    given = {"size": size is not None, "size_weights": size_weights is not None}
    given["probability"] = isinstance(probability, Tensor) or probability != 0.5
    reads = {"bernoulli": "probability", "fixed_size": "size", "kernel": "size_weights"}
    for name, present in given.items():
        if present and reads.get(law) != name:
            raise ValueError(f"{name} must be left out for law {law!r}, got one")
    if law == "fixed_size" and size is None:
        raise ValueError("size must be given for law 'fixed_size', got None")


def _spread(
    name: str, values: Tensor, dtype: torch.dtype, rows: Sequence[int], device: torch.device
) -> Tensor:
    """Bring one value per sample to ``[1 or batch, n_samples]``."""
    check_dtype(name, values, (dtype,))
    if values.dim() != 2:
        check_shape(name, values, [rows[1]])
        values = values.unsqueeze(0)
    else:
        check_shape(name, values, rows)
    return values.to(device)


def _probability_table(
    probability: float | Tensor, rows: Sequence[int], device: torch.device, paired: bool
) -> Tensor:
    """Probabilities as integers out of 2**32, ``[1 or batch, 1 or n_samples]``."""
    if not isinstance(probability, Tensor):
        if isinstance(probability, bool) or not isinstance(probability, (int, float)):
            raise TypeError(
                f"probability must be a number or a tensor, got {describe(probability)}"
            )
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability}")
        return torch.full((1, 1), round(probability * 2**32), device=device)
    if paired:
        raise ValueError(
            f"probability must be a number with paired=True, got {describe(probability)}"
        )
    if probability.device.type == "cpu" and probability.numel():
        check_finite("probability", probability)
        low, high = (float(bound) for bound in probability.aminmax())
        if low < 0 or high > 1:
            raise ValueError(f"probability must be in [0, 1], got values from {low:g} to {high:g}")
    spread = _spread("probability", probability, torch.float64, rows, device)
    return (spread.clamp(0, 1) * 2**32).round().to(torch.int64).contiguous()


def _size_table(
    n_players: int,
    size: int | Tensor | None,
    rows: Sequence[int],
    device: torch.device,
    paired: bool,
    start: int,
) -> Tensor:
    """Size of every sample, ``[1 or batch, 1 or n_samples]``."""
    if not isinstance(size, Tensor):
        size = check_int("size", size, minimum=0)
        if size > n_players:
            raise ValueError(f"size must be at most n_players = {n_players}, got {size}")
        if not paired:
            return torch.full((1, 1), size, device=device)
        samples = torch.arange(start, start + rows[1], device=device)
        return torch.where(samples % 2 == 0, size, n_players - size)[None]
    spread = _spread("size", size, torch.int64, rows, device)
    if size.device.type == "cpu" and size.numel():
        low, high = (int(bound) for bound in size.aminmax())
        if low < 0 or high > n_players:
            raise ValueError(f"size must be in 0..{n_players}, got values from {low} to {high}")
        first = start % 2
        even, odd = spread[:, first::2], spread[:, first + 1 :: 2]
        if paired and bool((even[:, : odd.shape[1]] + odd != n_players).any()):
            raise ValueError(
                f"size must be {n_players} minus the size before it at odd samples with "
                f"paired=True, got {describe(size)} that is not"
            )
    return spread.contiguous()


def _cumulated_sizes(n_players: int, size_weights: Tensor | None) -> Tensor:
    """Cumulated probabilities of sizes as integers out of 2**53, ``[n_players + 1]``."""
    if size_weights is None:
        if n_players < 2:
            raise ValueError(
                f"n_players must be at least 2 for the Shapley kernel, got {n_players}"
            )
        size_weights = shapley_kernel_size_weights(n_players)
    check_dtype("size_weights", size_weights, (torch.float64,))
    check_shape("size_weights", size_weights, [n_players + 1])
    check_finite("size_weights", size_weights)
    weights = size_weights.detach().cpu().numpy()
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError(
            "size_weights must be at least 0 and not all 0, got "
            f"a minimum of {weights.min():g} and a sum of {weights.sum():g}"
        )
    cumulated = np.cumsum(weights)
    table = np.rint(cumulated / cumulated[-1] * 2.0**53).astype(np.int64)
    # Sizes behind the last one of positive weight are unreachable, whatever was rounded.
    table[np.flatnonzero(weights)[-1] :] = 2**53
    return torch.from_numpy(table)


def sample_coalitions_reference(
    n_players: int,
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,
    law: str = "bernoulli",
    probability: float | Tensor = 0.5,
    size: int | Tensor | None = None,
    size_weights: Tensor | None = None,
    paired: bool = False,
    start: int = 0,
) -> Tensor:
    """Do what `sample_coalitions` does, one coalition and one player at a time."""
    rows = (len(example_ids), n_samples)
    if law == "permutation":
        first = start // (n_players + 1)
        orders = sample_permutations_reference(
            n_players,
            (start + n_samples) // (n_players + 1) + 1 - first,
            seed=seed,
            example_ids=example_ids,
            start=first,
            antithetic=paired,
        )
        begin = start - first * (n_players + 1)
        return permutation_prefixes_reference(orders).flatten(1, 2)[:, begin : begin + n_samples]
    words = philox_words_reference(
        MASK_BITS * n_words(n_players) + 64,
        n_samples + 1,
        seed=seed,
        example_ids=example_ids,
        start=max(start - 1, 0),
        stream=COALITION_STREAM,
    )
    cpu = torch.device("cpu")
    if law == "bernoulli":
        table = _probability_table(probability, rows, cpu, paired).expand(rows)
    elif law == "fixed_size":
        table = _size_table(n_players, size, rows, cpu, paired, start).expand(rows)
    else:
        table = _cumulated_sizes(n_players, size_weights)
    masks = torch.zeros(*rows, n_players, dtype=torch.bool)
    for b in range(rows[0]):
        for s in range(rows[1]):
            second = paired and (start + s) % 2 == 1
            row = words[b, start + s - second - max(start - 1, 0)].tolist()
            if law == "bernoulli":
                members = _bernoulli_members(row, n_players, int(table[b, s]))
            elif law == "fixed_size":
                count = int(table[b, s])
                members = _subset(row, n_players, n_players - count if second else count)
            else:
                drawn = row[1] << 21 | row[0] >> 11
                members = _subset(row[2:], n_players, sum(drawn >= int(limit) for limit in table))
            masks[b, s, list(members)] = True
            if second:
                masks[b, s] = ~masks[b, s]
    return pack_masks(masks)


def _bernoulli_members(words: Sequence[int], n_players: int, threshold: int) -> set[int]:
    """Players whose random fraction, a digit of 32 players a word, is below ``threshold``."""
    row, members = iter(words), set()
    for first in range(0, n_players, MASK_BITS):
        undecided = set(range(first, min(first + MASK_BITS, n_players)))
        if threshold == 2**32:
            members |= undecided
        for place in reversed(range(32)):
            if not undecided or threshold % 2 ** (place + 1) == 0:
                break
            drawn, digit = next(row), threshold >> place & 1
            equal = {player for player in undecided if drawn >> player % MASK_BITS & 1 == digit}
            members |= undecided - equal if digit else set()
            undecided = equal
    return members


def _subset(words: Sequence[int], n_players: int, size: int) -> set[int]:
    """Floyd's subset of ``size`` players; the smaller of it and its complement is drawn."""
    row, count = iter(words), min(size, n_players - size)
    chosen: set[int] = set()
    for last in range(n_players - count, n_players):
        drawn = below_reference(row, last + 1)
        chosen.add(last if drawn in chosen else drawn)
    return chosen if count == size else set(range(n_players)) - chosen
