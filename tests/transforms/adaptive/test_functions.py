"""Wavelet functions against PyWavelets, distances, and the lattice of orthogonal filters."""

import math

import numpy as np
import pytest
import pywt
import torch

from pyxai.transforms import wavelet_constraints, wavelet_distance, wavelet_functions
from pyxai.transforms.adaptive.lattice import angles_of_filter, filter_of_angles
from pyxai.transforms.filters import scaling_filters


def filter_of(name):
    return torch.tensor(scaling_filters()[name], dtype=torch.float64)


@pytest.mark.parametrize("name", ["haar", "db2", "db5", "sym6", "coif2"])
def test_functions_are_those_of_pywavelets(name):
    found = wavelet_functions(filter_of(name), level=6)
    phi, psi, _ = pywt.Wavelet(name).wavefun(level=6)
    n = len(found.phi)
    # PyWavelets puts a zero before, and zeros behind.
    np.testing.assert_allclose(found.phi, phi[1 : n + 1], atol=1e-9)
    np.testing.assert_allclose(found.psi, psi[1 : n + 1], atol=1e-9)
    assert float(found.psi.square().sum()) == pytest.approx(2**6)
    assert float(found.phi.sum()) == pytest.approx(2**6)


def test_distance_forgets_place_and_direction():
    db5 = filter_of("db5")
    assert wavelet_distance(db5, db5) < 1e-5
    assert wavelet_distance(torch.nn.functional.pad(db5, (2, 0)), db5) < 1e-5
    assert wavelet_distance(filter_of("db2"), db5) > 1
    one, two = (wavelet_functions(each, 5).psi for each in (filter_of("db4"), db5))
    one = torch.nn.functional.pad(one, (0, len(two) - len(one)))
    rolled = [(one.roll(k) - way).norm() for k in range(len(two)) for way in (two, two.flip(0))]
    wanted = float(torch.stack(rolled).min())
    assert wavelet_distance(filter_of("db4"), db5) == pytest.approx(wanted)


@pytest.mark.parametrize("name", scaling_filters())
def test_the_lattice_holds_every_orthogonal_wavelet(name):
    scaling = filter_of(name)
    angles = angles_of_filter(scaling)
    assert len(angles) == len(scaling) // 2 - 1
    torch.testing.assert_close(filter_of_angles(angles), scaling, rtol=0, atol=1e-7)


def test_any_angles_are_orthogonal():
    generator = torch.Generator().manual_seed(0)
    for n in (0, 1, 4, 9):
        angles = torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_()
        scaling = filter_of_angles(angles)
        assert max(float(v) for v in wavelet_constraints(scaling.detach()).values()) < 1e-25
        assert float(scaling.detach().sum()) == pytest.approx(math.sqrt(2))
        if n:
            assert torch.autograd.gradcheck(filter_of_angles, (angles,))
