"""Dividends of all coalitions of 20 players, against NumPy's butterfly; the aim is 3 times."""

import numpy as np
import pytest
import torch
from _timing import compare

from pyxai.ops import moebius_transform


def butterfly(values):
    out = values.copy()
    for player in range(len(values).bit_length() - 1):
        halves = out.reshape(-1, 2, 1 << player)
        halves[:, 1] -= halves[:, 0]
    return out


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("n_players", [16, 20])
def test_moebius_transform(benchmark, n_players, dtype, threads):
    torch.set_num_threads(threads)
    values = torch.randn(2**n_players, dtype=dtype)
    array = values.numpy()
    assert np.array_equal(moebius_transform(values).numpy(), butterfly(array))
    compare(
        benchmark,
        lambda: moebius_transform(values),
        {"numpy": lambda: butterfly(array), "clone": lambda: values.clone()},
        moved_bytes=2 * values.nbytes,
    )
