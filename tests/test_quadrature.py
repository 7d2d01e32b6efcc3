"""Gauss-Legendre rules of any size, against 30 digits and against integrals in closed form."""

import mpmath
import numpy as np
import pytest

from pyxai._quadrature import legendre, nodes_and_weights


def by_thirty_digits(n, near):
    """Node and weight on [0, 1] next to ``near``, in the arithmetic of mpmath."""
    with mpmath.workdps(30):
        start = 2 * mpmath.asin(mpmath.sqrt(mpmath.mpf(near)))
        angle = mpmath.findroot(lambda t: mpmath.legendre(n, mpmath.cos(t)), start)
        place = mpmath.cos(angle)
        below, value = mpmath.legendre(n - 1, place), mpmath.legendre(n, place)
        slope = n * (below - place * value) / (1 - place**2)
        return mpmath.sin(angle / 2) ** 2, 1 / ((1 - place**2) * slope**2)


@pytest.mark.parametrize("n", [101, 102, 1000])
def test_nodes_and_weights_have_all_digits(n):
    nodes, weights = legendre(n)
    # The first ones, both sides of where the way to find them changes, and the middle.
    for k in (0, 1, 5, 28, 29, 30, 31, n // 3, n // 2):
        node, weight = by_thirty_digits(n, float(nodes[k]))
        assert abs(nodes[k] / node - 1) < 1e-14
        assert abs(weights[k] / weight - 1) < 1e-13


@pytest.mark.parametrize("n", [64, 100, 101, 150])
def test_agrees_with_numpy(n):
    nodes, weights = legendre(n)
    places, shares = np.polynomial.legendre.leggauss(n)
    np.testing.assert_allclose(nodes, (1 + places) / 2, atol=1e-15, rtol=0)
    # numpy's own outermost weights have eleven digits.
    np.testing.assert_allclose(weights, shares / 2, atol=0, rtol=1e-10)


@pytest.mark.parametrize("n", [4000, 20_000])
def test_many_nodes(n):
    """These took 6 s and more than six minutes by eigenvalues."""
    nodes, weights = (part.numpy() for part in nodes_and_weights("gausslegendre", n))
    assert (np.diff(nodes) > 0).all()
    assert nodes[0] > 0
    assert nodes[-1] < 1
    assert weights.sum() == pytest.approx(1, abs=1e-13)
    for degree in (1, 2, 999, 2 * n - 1):
        assert (weights @ nodes**degree) * (degree + 1) == pytest.approx(1, abs=1e-11)
    # A wave for every two nodes is still integrated to all digits.
    assert weights @ np.cos(1.5 * n * nodes) == pytest.approx(
        np.sin(1.5 * n) / (1.5 * n), abs=1e-13
    )
