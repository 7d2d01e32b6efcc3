"""Wavelet transforms, against PyWavelets on batches of signals and against a copy for images.

The aims are 3 times PyWavelets, and for images half the bandwidth of a copy of the same bytes.
"""

import numpy as np
import pytest
import pywt
import torch
from _timing import compare

from pyxai.ops import dwt, dwt_reference, filter_bank, idwt, wavelet_bands
from pyxai.ops._filter_bank import analyse, synthesise

NAME, MODE = "db4", "symmetric"


def bank_of(name):
    return filter_bank(torch.tensor(pywt.Wavelet(name).rec_lo, dtype=torch.float32))


@pytest.mark.parametrize("direction", ["there", "back"])
@pytest.mark.parametrize(
    ("shape", "level"),
    [((5000, 64), 3), ((500, 1024), 6), ((64, 256, 256), 4), ((4, 1024, 1024), 5)],
    ids=["64", "1024", "256x256", "1024x1024"],
)
def test_dwt(benchmark, shape, level, direction):
    torch.set_num_threads(1)  # as PyWavelets
    n_dims, bank, x = len(shape) - 1, bank_of(NAME), torch.randn(shape)
    found = dwt(x, bank, level=level, mode=MODE, n_dims=n_dims)
    arrays = x.numpy()
    bands = wavelet_bands(shape[1:], bank.shape[1], level, MODE)
    there = (pywt.wavedec, pywt.wavedec2)[n_dims - 1]
    back = (pywt.waverec, pywt.waverec2)[n_dims - 1]
    parts = there(arrays, NAME, MODE, level)
    flat = [parts[0], *(b for a in parts[1:] for b in (a if isinstance(a, tuple) else (a,)))]
    flat = np.concatenate([each.reshape(shape[0], -1) for each in flat], 1)
    np.testing.assert_allclose(found.numpy(), flat, atol=1e-4)
    copies = torch.empty_like(x), torch.empty_like(found)

    def copy():
        copies[0].copy_(x)
        copies[1].copy_(found)

    if direction == "there":
        ours = lambda: dwt(x, bank, level=level, mode=MODE, n_dims=n_dims)  # noqa: E731
        peer = lambda: there(arrays, NAME, MODE, level)  # noqa: E731
        plain = lambda: analyse(x, bank, level, MODE, n_dims)  # noqa: E731
    else:
        ours = lambda: idwt(found, bank, sizes=shape[1:], level=level, mode=MODE)  # noqa: E731
        peer = lambda: back(parts, NAME, MODE)  # noqa: E731
        plain = lambda: synthesise(found, bank, bands, MODE)  # noqa: E731
        torch.testing.assert_close(ours(), x, atol=1e-4, rtol=1e-4)
    # The copy reads and writes twice the bytes that a transform must move: half of its time.
    compare(
        benchmark,
        ours,
        {"PyWavelets": peer, "torch": plain, "two copies": copy},
        moved_bytes=x.nbytes + found.nbytes,
        rounds=7,
    )


@pytest.mark.parametrize("shape", [(5000, 64), (16, 256, 256)], ids=["64", "256x256"])
def test_gradient_of_the_filter(benchmark, shape):
    torch.set_num_threads(1)
    n_dims, x = len(shape) - 1, torch.randn(shape)
    bank = bank_of(NAME).requires_grad_()

    def gradient(function):
        found = function(x, bank, level=3, n_dims=n_dims)
        return torch.autograd.grad(found.square().sum(), bank)[0]

    def plain(x, bank, level, n_dims):
        return analyse(x, bank, level, MODE, n_dims)

    torch.testing.assert_close(
        gradient(dwt).double(), gradient(dwt_reference).double(), rtol=1e-3, atol=1e-2
    )
    compare(benchmark, lambda: gradient(dwt), {"torch": lambda: gradient(plain)}, rounds=7)
