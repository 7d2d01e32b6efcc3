"""Random numbers for draws, and names for masks that draw for themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai._checks import check_dtype, check_int, check_shape, check_tensor
from pyxai._random import scramble
from pyxai.imputers.base import IMPUTER_STREAM
from pyxai.ops.philox_random import philox_random

__all__ = ["mask_ids", "noise"]


def noise(
    shape: Sequence[int],
    n_draws: int,
    *,
    seed: int,
    example_ids: Tensor,
    part: int = 0,
    distribution: str = "uniform",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the numbers behind an imputer's draws.

    Parameters
    ----------
    shape : sequence of int
        Shape of what one draw needs.
    n_draws : int
        Draws for each id.
    seed : int
        From 0 to 2**64 - 1.
    example_ids : Tensor, shape [batch] or [batch, n_masks]
        int64, see `Imputer.draw`.
    part : int
        Which of an imputer's several kinds of numbers; they are independent.
    distribution : str
        ``"uniform"`` on [0, 1) or ``"normal"``.
    dtype : torch.dtype
        float32 or float64.

    Returns
    -------
    Tensor, shape [batch, 1 or n_masks, n_draws, *shape]
        The second size is 1 where all masks of an example share its numbers.
    """
    check_int("n_draws", n_draws, minimum=1)
    check_int("part", part, minimum=0)
    check_tensor("example_ids", example_ids)
    names = example_ids if example_ids.dim() == 2 else example_ids.unsqueeze(1)
    numbers = philox_random(
        shape,
        n_draws,
        seed=seed,
        example_ids=names.flatten(),
        stream=IMPUTER_STREAM + part,
        distribution=distribution,
        dtype=dtype,
    )
    return numbers.view(*names.shape, *numbers.shape[1:])


def mask_ids(example_ids: Tensor, n_masks: int) -> Tensor:
    """Name every mask of every example, so that each draws for itself.

    Parameters
    ----------
    example_ids : Tensor, shape [batch]
        int64.
    n_masks : int
        Masks of each example. The first of many masks have the names that few masks have.

    Returns
    -------
    Tensor, shape [batch, n_masks]
        int64; any part of it is the ids of those rows and masks.

    Raises
    ------
    ValueError
        If the ids are not a vector, or there is no mask.
    TypeError
        If the ids are not int64.

    Examples
    --------
    >>> mask_ids(torch.tensor([3, 4]), 5).shape
    torch.Size([2, 5])
    """
    check_shape("example_ids", check_tensor("example_ids", example_ids), [None])
    check_dtype("example_ids", example_ids, (torch.int64,))
    count = check_int("n_masks", n_masks, minimum=1)
    salts = scramble(torch.arange(1, count + 1, device=example_ids.device))
    return scramble(example_ids[:, None] ^ salts)
