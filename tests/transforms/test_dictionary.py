"""Learned parts: scikit-learn's numbers, the exact minimum, errors."""

import io

import numpy as np
import pytest
import torch
from contract_runs import assert_close
from scipy.optimize import nnls
from sklearn.decomposition import NMF, PCA

from pyxai.transforms import NMFTransform, PCATransform


def draw(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGES = draw(30, 3, 4)
FLAT = IMAGES.flatten(1).numpy()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("count", [None, 4])
def test_pca_is_that_of_scikit_learn(count, whiten):
    mine, peer = PCATransform(count, whiten=whiten).fit(IMAGES), PCA(count, whiten=whiten).fit(FLAT)
    assert_close(mine(IMAGES), torch.from_numpy(peer.transform(FLAT)))
    back = peer.inverse_transform(peer.transform(FLAT))
    assert_close(mine.inverse(mine(IMAGES)).flatten(1), torch.from_numpy(back))
    if count is None:
        assert_close(mine.inverse(mine(IMAGES)), IMAGES)


def test_nmf_is_the_exact_minimum():
    mine = NMFTransform(5, max_iter=500, tol=1e-3).fit(IMAGES)
    peer = NMF(5, max_iter=500, tol=1e-3, random_state=0).fit(FLAT)
    np.testing.assert_array_equal(mine.fitted(), peer.components_)
    fresh = draw(40, 3, 4, seed=1)
    found = mine(fresh)
    expected = [nnls(peer.components_.T, row)[0] for row in fresh.flatten(1).numpy()]
    assert_close(found, torch.from_numpy(np.stack(expected)))
    assert bool((found == 0).any())
    assert bool((found >= 0).all())
    shares = peer.transform(fresh.flatten(1).numpy())  # to its tolerance
    np.testing.assert_allclose(found, shares, atol=0.02)
    assert_close(mine.inverse(found).flatten(1), found @ mine.fitted())


def test_nmf_of_components_that_are_much_alike_is_the_exact_minimum():
    components, rows = draw(10, 12, seed=2) + 1, 5 * draw(20, 12, seed=3)
    expected = [nnls(components.numpy().T, row)[0] for row in rows.numpy()]
    found = NMFTransform.from_components(components)(rows)
    assert_close(found, torch.from_numpy(np.stack(expected)))


def test_nmf_of_exact_mixtures_gives_the_weights():
    parts = NMFTransform.from_components(torch.tensor([[1.0, 1, 0, 0], [0, 1, 2, 0], [0, 0, 1, 3]]))
    weights = draw(6, 3) * (draw(6, 3, seed=1) > 0.4)
    assert_close(parts(parts.inverse(weights)), weights)
    assert_close(parts(torch.zeros(1, 4).double()), torch.zeros(1, 3).double())


def test_given_components_and_files():
    fitted = PCATransform(3).fit(IMAGES)
    made = PCATransform.from_components(fitted.fitted().view(-1, 3, 4), fitted.offset.view(3, 4))
    assert_close(made(IMAGES), fitted(IMAGES))
    file = io.BytesIO()
    torch.save(fitted, file)
    file.seek(0)
    assert_close(torch.load(file, weights_only=False)(IMAGES), fitted(IMAGES))
    # Components that are not orthogonal have least-squares weights.
    skew = PCATransform.from_components(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert_close(skew(torch.tensor([[3.0, 2.0]]).double()), torch.tensor([[1.0, 2.0]]).double())


@pytest.mark.parametrize("cls", [PCATransform, NMFTransform])
def test_errors(cls):
    name = cls.__name__
    with pytest.raises(ValueError, match=rf"transform must be fitted, got a {name} before fit"):
        cls(2)(IMAGES)
    with pytest.raises(ValueError, match=rf"transform must be fitted, got a {name} before fit"):
        cls(2).inverse(IMAGES)
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        cls(0)
    with pytest.raises(ValueError, match="data must be finite"):
        cls(2).fit(IMAGES / 0)
    with pytest.raises(ValueError, match="data must hold rows of features"):
        cls(2).fit(IMAGES[:0])
    with pytest.raises(TypeError, match="data must be real"):
        cls(2).fit(IMAGES * 1j)
    with pytest.raises(TypeError, match="data must be numbers"):
        cls(2).fit("rows")
    with pytest.raises(
        ValueError, match="components must be linearly independent, got 2 of rank 1"
    ):
        cls.from_components(torch.ones(2, 3))
    fitted = cls(2).fit(IMAGES)
    with pytest.raises(ValueError, match=r"inputs must have shape \[batch, ..., 3, 4\]"):
        fitted(IMAGES.mT)
    with pytest.raises(ValueError, match=r"coefficients must have shape \[batch, ..., 2\]"):
        fitted.inverse(IMAGES)


def test_errors_of_signs_and_offsets():
    fitted = NMFTransform(2).fit(IMAGES)
    with pytest.raises(ValueError, match="inputs must be at least 0 for NMF, got -1"):
        fitted(-torch.ones(1, 3, 4))
    with pytest.raises(ValueError, match="data must be at least 0 for NMF"):
        NMFTransform(2).fit(-IMAGES)
    with pytest.raises(ValueError, match="components must be at least 0 for NMF"):
        NMFTransform.from_components(-torch.eye(2))
    with pytest.raises(ValueError, match="offset must be None for non-negative components"):
        NMFTransform.from_components(torch.eye(2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"offset must have shape \[2\], got \[3\]"):
        PCATransform.from_components(torch.eye(2), torch.zeros(3))
