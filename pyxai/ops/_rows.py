"""What names a row of random numbers: seed, stream, example and sample. Nothing else enters it."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_int, check_shape, check_tensor

__all__ = ["COALITION_STREAM", "PERMUTATION_STREAM", "check_rows", "check_seed"]

# Streams from 2**31 on belong to the package, so that coalitions, orders and the noise that a user
# draws with the same seed are independent.
COALITION_STREAM = 2**31
PERMUTATION_STREAM = 2**31 + 1


def check_seed(seed: int, stream: int = 0) -> int:
    """Return ``seed`` as the signed 64-bit integer of the same bits."""
    check_int("seed", seed, minimum=0)
    if seed >= 2**64:
        raise ValueError(f"seed must be less than 2**64, got {seed}")
    check_int("stream", stream, minimum=0)
    if stream >= 2**31:
        raise ValueError(f"stream must be less than 2**31, got {stream}")
    return seed - 2**64 if seed >= 2**63 else seed


def check_rows(
    example_ids: Tensor, n_samples: int, start: int, *, name: str = "n_samples"
) -> Tensor:
    """Check the names of rows and return contiguous ``example_ids``."""
    check_tensor("example_ids", example_ids)
    check_dtype("example_ids", example_ids, (torch.int64,))
    check_shape("example_ids", example_ids, [None])
    check_int(name, n_samples, minimum=0)
    check_int("start", start, minimum=0)
    if start + n_samples > 2**32:
        raise ValueError(f"start + {name} must be at most 2**32, got {start + n_samples}")
    return example_ids.contiguous()
