"""The Fourier transform in pairs: NumPy's numbers, the way back, bands."""

import numpy as np
import pytest
import torch
from contract_runs import assert_close

from pyxai.transforms import FourierTransform

SIZES = [1, 2, 7, 8, (1, 4), (5, 6), (4, 7)]


def draw(sizes, *lead):
    shape = (*lead, *((sizes,) if isinstance(sizes, int) else sizes))
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_numbers_are_those_of_numpy_and_come_back(sizes, onesided):
    fourier, x = FourierTransform(sizes, onesided=onesided), draw(sizes, 3, 2)
    dims = tuple(range(-len(fourier.input_sizes), 0))
    expected = (np.fft.rfftn if onesided else np.fft.fftn)(x.numpy(), axes=dims)
    found = fourier(x)
    assert_close(torch.view_as_complex(found), torch.from_numpy(expected))
    assert found.shape == (3, 2, *fourier.coefficient_sizes)
    assert_close(fourier.inverse(found), x)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_matrices_of_a_traced_model_are_the_inverse(sizes, onesided):
    fourier = FourierTransform(sizes, onesided=onesided)
    # Any coefficients, also those that no real signal has.
    coefficients = torch.randn(3, 2, *fourier.coefficient_sizes, dtype=torch.float64)
    assert_close(fourier._by_matrices(coefficients), fourier.inverse(coefficients), 1e-13)


def test_frequencies_are_shares_of_the_highest():
    for sizes in (7, 8):
        every = np.abs(np.fft.fftfreq(sizes))
        found = FourierTransform(sizes, onesided=False).frequencies()
        np.testing.assert_allclose(found, every / every.max(), rtol=1e-14)
    rows, columns = (np.abs(np.fft.fftfreq(n)) for n in (5, 6))
    expected = np.hypot(rows[:, None] / rows.max(), columns / columns.max())
    found = FourierTransform((5, 6), onesided=False).frequencies()
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(FourierTransform((5, 6)).frequencies(), expected[:, :4], rtol=1e-14)
    assert FourierTransform(1).frequencies().tolist() == [0.0]


def test_bands_hold_their_lower_edge_only():
    fourier = FourierTransform(8)  # frequencies 0, 1/4, 1/2, 3/4, 1
    found = fourier.bands([0.25, 0.5, 1.0])
    assert found[:, 0].tolist() == [2, 0, 1, 1, 2]
    assert torch.equal(found[:, 0], found[:, 1])
    assert fourier.bands(2)[:, 0].tolist() == [0, 0, 1, 1, 1]  # the last holds the highest
    image = FourierTransform((8, 8))
    assert image.bands(4).unique().tolist() == list(range(4))
    inside = image.bands([0.0, 0.3]) == 0  # a disc
    assert torch.equal(inside[..., 0], image.frequencies() < 0.3)


def test_groups_of_coefficients_hold_pairs():
    found = FourierTransform((3, 4)).coefficients_as_groups()
    assert found.shape == (3, 3, 2)
    assert found[..., 0].flatten().tolist() == found[..., 1].flatten().tolist() == list(range(9))


def test_errors():
    with pytest.raises(ValueError, match="sizes must be one number or two, got a tuple of 3"):
        FourierTransform((2, 3, 4))
    with pytest.raises(ValueError, match="sizes must be at least 1, got 0"):
        FourierTransform(0)
    with pytest.raises(TypeError, match=r"sizes must be an integer, got 2\.5"):
        FourierTransform(2.5)
    with pytest.raises(TypeError, match="onesided must be True or False"):
        FourierTransform(4, onesided=1)
    fourier = FourierTransform((4, 6))
    x = draw((4, 6), 2)
    with pytest.raises(ValueError, match=r"inputs must have shape \[batch, ..., 4, 6\]"):
        fourier(x.mT)
    with pytest.raises(ValueError, match=r"inputs must have shape \[batch, ..., 4, 6\]"):
        fourier(x[0])
    with pytest.raises(ValueError, match=r"coefficients must have shape \[batch, ..., 4, 4, 2\]"):
        fourier.inverse(x)
    with pytest.raises(TypeError, match="inputs must have dtype"):
        fourier(x.long())
    with pytest.raises(TypeError, match="inputs must be a tensor"):
        fourier(x.numpy())
    with pytest.raises(ValueError, match="inputs must be finite"):
        fourier(x / 0)
    for edges in ([0.5], [0.5, 0.5], [0.6, 0.5]):
        with pytest.raises(ValueError, match="edges must be two or more ascending numbers"):
            fourier.bands(edges)
    with pytest.raises(ValueError, match="every band, got none in band 1 of 3"):
        fourier.bands([0.1, 0.4, 0.45, 0.6])
    with pytest.raises(ValueError, match="edges must be at least 1"):
        fourier.bands(0)
    with pytest.raises(TypeError, match="edges must be an integer or numbers"):
        fourier.bands("wide")
