"""Wavelets: PyWavelets' coefficients and reconstruction, closed forms, errors."""

import warnings

import numpy as np
import pytest
import pywt
import torch
from contract_runs import assert_close

from pyxai.ops import WAVELET_MODES as MODES
from pyxai.ops import filter_bank
from pyxai.transforms import WaveletTransform
from pyxai.transforms.filters import scaling_filters


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", scaling_filters())
def test_filters_are_those_of_pywavelets_and_orthonormal(name):
    peer = pywt.Wavelet(name)
    bank = filter_bank(torch.tensor(scaling_filters()[name], dtype=torch.float64))
    np.testing.assert_allclose(bank, [peer.dec_lo[::-1], peer.dec_hi[::-1]], rtol=0, atol=1e-15)
    n_taps = bank.shape[1]
    for shift in range(0, n_taps, 2):
        products = bank[:, : n_taps - shift] @ bank[:, shift:].T
        expected = torch.eye(2, dtype=torch.float64) * (shift == 0)
        torch.testing.assert_close(products, expected, rtol=0, atol=3e-11)  # of the table's digits


def flattened(coefficients):
    """Return the arrays of wavedec or wavedec2 in order."""
    first, *rest = coefficients
    return [
        first,
        *(each for entry in rest for each in (entry if type(entry) is tuple else [entry])),
    ]


def assert_same_as_pywavelets(transform, x, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of levels that see beyond the ends
        if len(transform.input_sizes) == 1:
            peer = pywt.wavedec(x.numpy(), name, transform.mode, transform.level)
            back = pywt.waverec(peer, name, transform.mode)
        else:
            peer = pywt.wavedec2(x.numpy(), name, transform.mode, transform.level)
            back = pywt.waverec2(peer, name, transform.mode)
    found = transform(x)
    mine = flattened(transform.unpack(found))
    assert len(mine) == len(flattened(peer))
    for left, right in zip(mine, flattened(peer), strict=True):
        assert_close(left, torch.from_numpy(right))
    # PyWavelets gives a sample too many for odd sizes.
    inside = back[(..., *(slice(n) for n in transform.input_sizes))]
    assert_close(transform.inverse(found), torch.from_numpy(inside))
    assert_close(transform.inverse(found), x, 1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["haar", "db2", "db5", "sym4", "sym8", "coif2"])
@pytest.mark.parametrize("n", [63, 64, 97])
def test_signals_are_those_of_pywavelets(name, mode, n):
    assert_same_as_pywavelets(WaveletTransform(n, name, mode=mode), draw(2, 3, n), name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "sizes"), [("haar", (5, 8)), ("db2", (13, 16)), ("sym4", (21, 9))]
)
def test_images_are_those_of_pywavelets(name, mode, sizes):
    transform = WaveletTransform(sizes, name, mode=mode)
    assert_same_as_pywavelets(transform, draw(2, *sizes), name)


@pytest.mark.parametrize("mode", MODES)
def test_any_coefficients_come_back_as_with_pywavelets(mode):
    transform = WaveletTransform(37, "db3", level=2, mode=mode)
    coefficients = draw(1, *transform.coefficient_sizes)
    arrays = [each[0].numpy() for each in transform.unpack(coefficients)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        low = pywt.idwt(arrays[0], arrays[1], "db3", mode)[: len(arrays[2])]
        expected = pywt.idwt(low, arrays[2], "db3", mode)[:37]
    assert_close(transform.inverse(coefficients)[0], torch.from_numpy(expected))


def test_haar_by_hand():
    haar = WaveletTransform(4, "haar", level=1)
    found = haar(torch.tensor([[1.0, 2.0, 3.0, 4.0]]).double())
    assert_close(found, torch.tensor([[3.0, 7.0, -1.0, -1.0]]).double() / 2**0.5)


def test_default_level_is_that_of_pywavelets():
    for name in ("haar", "db2", "db5"):
        taps = len(scaling_filters()[name])
        for n in range(taps, 100):
            expected = max(1, pywt.dwt_max_level(n, taps))
            assert WaveletTransform(n, name).level == expected, (name, n)


def test_lengths_of_levels():
    transform = WaveletTransform(64, "db5", level=4, mode="zero")
    sizes = [part.shape[-1] for part in transform.unpack(transform(draw(1, 64)))]
    assert sizes == [12, 12, 15, 22, 36]


def test_periodization_is_orthogonal_and_zero_is_the_adjoint():
    x = draw(2, 64)
    orthogonal = WaveletTransform(64, "db4", mode="periodization")
    assert_close(orthogonal(x).square().sum(1), x.square().sum(1))
    zero = WaveletTransform(64, "db4", mode="zero")
    # The adjoint of the inverse is the analysis with zeros beyond the ends, whatever the mode.
    any_mode = WaveletTransform(64, "db4", mode="reflect")
    s = draw(2, *any_mode.coefficient_sizes, seed=1).requires_grad_()
    (adjoint,) = torch.autograd.grad((any_mode.inverse(s) * x).sum(), s)
    assert_close(adjoint, zero(x))


def test_bands_and_levels():
    transform = WaveletTransform((8, 8), "haar", level=2)
    bands, levels = transform.bands(), transform.levels()
    assert bands.bincount().tolist() == [4, 4, 4, 4, 16, 16, 16]
    assert levels.bincount().tolist() == [4, 12, 48]
    split = transform.unpack(bands.double())
    assert all(bool((each == number).all()) for number, each in enumerate(flattened(split)))


def test_errors():
    with pytest.raises(ValueError, match="wavelet must be one of 'haar', 'db1'"):
        WaveletTransform(8, "db99")
    with pytest.raises(ValueError, match="wavelet must have an even number of taps"):
        WaveletTransform(8, [1.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="wavelet must be finite"):
        WaveletTransform(8, [1.0, float("nan")])
    with pytest.raises(TypeError, match="wavelet must be a name or a filter, got 3"):
        WaveletTransform(8, 3)
    with pytest.raises(ValueError, match=r"sizes must be at least 8, the taps .* got 7 at level 1"):
        WaveletTransform(7, "db4")
    with pytest.raises(ValueError, match=r"sizes must be at least 8, the taps .* got 6 at level 1"):
        WaveletTransform((16, 6), "db4")
    with pytest.raises(ValueError, match=r"sizes must be at least 4, the taps .* got 3 at level 3"):
        WaveletTransform(10, "db2", level=3, mode="periodization")
    with pytest.raises(ValueError, match="level must be at least 1, got 0"):
        WaveletTransform(8, "haar", level=0)
    with pytest.raises(ValueError, match="mode must be one of 'zero', 'symmetric'"):
        WaveletTransform(8, "haar", mode="constant")
    transform = WaveletTransform(8, "haar")
    with pytest.raises(ValueError, match=r"coefficients must have shape \[batch, ..., 8\]"):
        transform.inverse(draw(1, 9))
    with pytest.raises(ValueError, match=r"coefficients must have shape \[..., 8\], got \[1, 9\]"):
        transform.unpack(draw(1, 9))
