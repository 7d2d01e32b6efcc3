"""The four data sets of "Learning to Explain": exclusive or, orange skin, additive, switch."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.datasets.simulated import Simulated, draw_labels, normal_rows
from pyxai.imputers import Gaussian, GaussianMixture, Imputer

__all__ = ["XOR", "additive", "orange_skin", "switch"]

_FEATURES = 10
_APART = 3.0  # the last feature of `switch` is near this, or near minus this


def XOR(n_rows: int = 10_000, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Simulated:
    """Simulate the data set XOR: ``P(y = 1 | x) = 1 / (1 + exp(x1 x2))``.

    Ten standard normal features, of which the first two count.

    Parameters
    ----------
    n_rows : int
        How many rows. The first of many rows are those of few.
    seed : int
        Rows of one seed to train on and rows of another to test on are independent.
    dtype : torch.dtype
        Of the inputs.

    Returns
    -------
    Simulated

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    .. [1] J. Chen, L. Song, M. J. Wainwright, M. I. Jordan, "Learning to Explain: An
       Information-Theoretic Perspective on Model Interpretation", ICML 2018, section 4.1.
    """
    x = normal_rows(n_rows, (_FEATURES,), seed, dtype=dtype)
    wide = x.double()
    return _made(x, wide[:, 0] * wide[:, 1], slice(0, 2), seed, _normal())


def orange_skin(
    n_rows: int = 10_000, seed: int = 0, *, dtype: torch.dtype = torch.float32
) -> Simulated:
    """Simulate the data set orange skin; arguments, and the paper, as `XOR`.

    ``P(y = 1 | x) = 1 / (1 + exp(x1^2 + x2^2 + x3^2 + x4^2 - 4))`` of ten standard normal features,
    of which the first four count.
    """
    x = normal_rows(n_rows, (_FEATURES,), seed, dtype=dtype)
    return _made(x, _orange(x.double()[:, :4]), slice(0, 4), seed, _normal())


def additive(
    n_rows: int = 10_000, seed: int = 0, *, dtype: torch.dtype = torch.float32
) -> Simulated:
    """Simulate the nonlinear additive data set; arguments, and the paper, as `XOR`.

    ``P(y = 1 | x) = 1 / (1 + exp(-100 sin(0.2 x1) + |x2| + x3 + exp(-x4) - 2.4))`` of ten standard
    normal features, of which the first four count.
    """
    x = normal_rows(n_rows, (_FEATURES,), seed, dtype=dtype)
    return _made(x, _additive(x.double()[:, :4]), slice(0, 4), seed, _normal())


def switch(n_rows: int = 10_000, seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Simulated:
    """Simulate the data set switch; arguments, and the paper, as `XOR`.

    The last feature says which features count.

    ``x10 ~ N(3, 1)`` or ``N(-3, 1)`` with equal chances. In the first case labels are those of
    `orange_skin` of features 1 to 4, in the second those of `additive` of features 5 to 8; these
    four and x10 count.
    """
    x = normal_rows(n_rows, (_FEATURES,), seed, dtype=dtype)
    is_orange = normal_rows(n_rows, (), seed, 2) < 0
    x[:, 9] += torch.where(is_orange, _APART, -_APART).to(dtype)
    wide = x.double()
    score = torch.where(is_orange, _orange(wide[:, :4]), _additive(wide[:, 4:8]))
    made = _made(x, score, slice(9, 10), seed, _two_normals())
    made.truth[:, :4], made.truth[:, 4:8] = is_orange[:, None], ~is_orange[:, None]
    return made


def _orange(x: Tensor) -> Tensor:
    return x.square().sum(1) - 4


def _additive(x: Tensor) -> Tensor:
    x1, x2, x3, x4 = x.unbind(1)
    return -100 * (0.2 * x1).sin() + x2.abs() + x3 + (-x4).exp() - 2.4


def _normal() -> Imputer:
    eye = torch.eye(_FEATURES, dtype=torch.float64)
    return Gaussian(n_draws=1, mean=eye.new_zeros(_FEATURES), covariance=eye)


def _two_normals() -> Imputer:
    means = torch.zeros(2, _FEATURES, dtype=torch.float64)
    means[:, 9] = torch.tensor([_APART, -_APART])
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    return GaussianMixture.from_parameters(half, means, torch.ones_like(means))


def _made(x: Tensor, score: Tensor, counts: slice, seed: int, law: Imputer) -> Simulated:
    truth = torch.zeros(x.shape, dtype=torch.bool)
    truth[:, counts] = True
    probabilities = torch.sigmoid(-score)
    labels = draw_labels(probabilities, seed)
    return Simulated(x, labels, truth, probabilities.to(x.dtype), law)
