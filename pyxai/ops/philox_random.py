"""Random numbers that depend on the seed and the row they are for, and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_choice, check_int
from pyxai.ops._arguments import check_rows, check_seed

__all__ = [
    "philox_normal",
    "philox_random",
    "philox_random_reference",
    "philox_uniform",
    "philox_words_reference",
]

_DISTRIBUTIONS = ("bits", "uniform", "normal")


def philox_random(
    shape: Sequence[int],
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,  # [batch]
    start: int = 0,
    stream: int = 0,
    distribution: str = "uniform",
    dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Tensor:
    """Draw an array of random numbers for every sample of every example.

    Number i of a row is a function of ``(seed, stream, example_ids[b], start + s, i)``: the same
    whatever the batch, the chunks in which samples are drawn, the device or the other numbers.

    Parameters
    ----------
    shape : sequence of int
        Shape of one sample.
    n_samples : int
        Samples of each example.
    seed : int
        From 0 to 2**64 - 1.
    example_ids : Tensor, shape [batch]
        int64 names of the examples, any values; the numbers are made where they live.
    start : int
        Index of the first sample; ``start + n_samples`` is at most 2**32.
    stream : int
        From 0 to 2**31 - 1; streams of one seed are independent.
    distribution : str
        ``"uniform"`` on [0, 1), ``"normal"`` (mean 0, variance 1), or ``"bits"``, the raw words.
    dtype : torch.dtype, optional
        float32 (default) or float64; int32 for bits. float32 and float64 are not roundings of each
        other.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``example_ids`` lives.

    Returns
    -------
    Tensor, shape [batch, n_samples, *shape]
        Random numbers, the same bits on every backend.

    Raises
    ------
    ValueError
        If a number is out of range or the distribution is unknown.
    TypeError
        If a dtype is not supported.

    Notes
    -----
    Uniform numbers are multiples of 2**-24 (float32) or 2**-53 (float64). Normal numbers are made
    by the method of Box and Muller [2]_ and are at most 6.8 (float32) or 8.7 (float64) in absolute
    value; every operation in them is rounded exactly, so they too have the same bits everywhere.

    References
    ----------
    .. [1] J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as
       1, 2, 3", SC 2011: Philox 4x32 with ten rounds.
    .. [2] G. E. P. Box, M. E. Muller, "A Note on the Generation of Random Normal Deviates", Annals
       of Mathematical Statistics 29(2), 1958.
    """
    signed_seed = check_seed(seed, stream)
    example_ids = check_rows(example_ids, n_samples, start)
    sizes = [check_int("shape", size, minimum=0) for size in shape]
    if math.prod(sizes) > 2**33:
        raise ValueError(f"shape must have at most 2**33 elements, got {math.prod(sizes)}")
    check_choice("distribution", distribution, _DISTRIBUTIONS)
    allowed = (torch.int32,) if distribution == "bits" else (torch.float32, torch.float64)
    if dtype is None:
        dtype = allowed[0]
    if dtype not in allowed:
        names = " or ".join(str(choice) for choice in allowed)
        raise TypeError(f"dtype must be {names} for distribution {distribution!r}, got {dtype}")
    out = torch.empty(
        (len(example_ids), n_samples, math.prod(sizes)), dtype=dtype, device=example_ids.device
    )
    _C.philox_random(
        example_ids=example_ids,
        seed=signed_seed,
        stream=stream,
        start=start,
        distribution=distribution,
        out=out,
        backend=check_backend(example_ids.device, backend),
    )
    return out.view(len(example_ids), n_samples, *sizes)


def philox_uniform(
    shape: Sequence[int],
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,  # [batch]
    start: int = 0,
    stream: int = 0,
    dtype: torch.dtype = torch.float32,
    backend: str | None = None,
) -> Tensor:
    """Draw numbers uniform on [0, 1), ``[batch, n_samples, *shape]``; see `philox_random`."""
    return philox_random(
        shape,
        n_samples,
        seed=seed,
        example_ids=example_ids,
        start=start,
        stream=stream,
        distribution="uniform",
        dtype=dtype,
        backend=backend,
    )


def philox_normal(
    shape: Sequence[int],
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,  # [batch]
    start: int = 0,
    stream: int = 0,
    dtype: torch.dtype = torch.float32,
    backend: str | None = None,
) -> Tensor:
    """Draw standard normal numbers, ``[batch, n_samples, *shape]``; see `philox_random`."""
    return philox_random(
        shape,
        n_samples,
        seed=seed,
        example_ids=example_ids,
        start=start,
        stream=stream,
        distribution="normal",
        dtype=dtype,
        backend=backend,
    )


def _philox(counter: npt.NDArray[np.uint64], key: Sequence[int]) -> npt.NDArray[np.uint64]:
    """Encrypt counters of four 32-bit words, ``[4, ...]``."""
    low, high = (np.uint64(word) for word in key)
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = counter
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (second >> half) ^ c1 ^ low,
            second & mask,
            (first >> half) ^ c3 ^ high,
            first & mask,
        )
        low, high = (low + np.uint64(0x9E3779B9)) & mask, (high + np.uint64(0xBB67AE85)) & mask
    return np.stack([c0, c1, c2, c3])


def philox_words_reference(
    n_words: int,
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,
    start: int = 0,
    stream: int = 0,
) -> npt.NDArray[np.uint64]:
    """Return words 0 to ``n_words - 1`` of every row, ``[batch, n_samples, n_words]``."""
    key = [seed & 0xFFFFFFFF, seed >> 32]
    if stream:
        key = [int(word) for word in _philox(np.array([stream, 0, 0, 0], np.uint64), key)[:2]]
    examples = example_ids.cpu().numpy().astype(np.uint64)[:, None, None]
    samples = np.arange(start, start + n_samples, dtype=np.uint64)[None, :, None]
    blocks = np.arange((n_words + 3) // 4, dtype=np.uint64)[None, None, :]
    counter = np.stack(
        np.broadcast_arrays(
            blocks, samples, examples & np.uint64(0xFFFFFFFF), examples >> np.uint64(32)
        )
    )
    words = np.moveaxis(_philox(counter, key), 0, -1)  # [batch, n_samples, blocks, 4]
    return words.reshape(len(example_ids), n_samples, 4 * blocks.size)[..., :n_words]


def philox_random_reference(
    shape: Sequence[int],
    n_samples: int,
    *,
    seed: int,
    example_ids: Tensor,
    start: int = 0,
    stream: int = 0,
    distribution: str = "uniform",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Do what `philox_random` does, with the mathematical functions of NumPy, in float64."""
    n_numbers, wide = math.prod(shape), dtype == torch.float64
    n_words = 4 * -(-n_numbers // 2) if wide else 4 * -(-n_numbers // 4)
    words = philox_words_reference(
        n_words, n_samples, seed=seed, example_ids=example_ids, start=start, stream=stream
    )
    if distribution == "bits":
        numbers: npt.NDArray[np.generic] = words.astype(np.uint32).view(np.int32)
    elif distribution == "uniform":
        low, high = words[..., 0::2] >> np.uint64(11), words[..., 1::2]
        numbers = (high * 2.0**-32 + low * 2.0**-53) if wide else (words >> np.uint64(8)) * 2.0**-24
    else:
        if wide:
            low, high = words[..., 0::4] >> np.uint64(11), words[..., 1::4]
            unit = (high * 2.0**-32 + low * 2.0**-53) + 2.0**-54
            turn = words[..., 3::4] * 2.0**-32 + words[..., 2::4] * 2.0**-64
        else:
            # Rounded to float32 as the kernel has it: near 1 the logarithm would show it.
            short = words[..., 0::2].astype(np.float32) * np.float32(2.0**-32)
            unit = (short + np.float32(2.0**-33)).astype(np.float64)
            turn = words[..., 1::2] * 2.0**-32
        radius, angle = np.sqrt(-2 * np.log(unit)), 2 * np.pi * turn
        pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        numbers = pairs.reshape(*pairs.shape[:2], 2 * pairs.shape[2])
    flat = torch.from_numpy(np.ascontiguousarray(numbers[..., :n_numbers]))
    return flat.reshape(len(example_ids), n_samples, *shape)
