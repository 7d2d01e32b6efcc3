"""Completeness of a linear model, and models that say nothing of a row."""

import pytest
import torch
from four_features import WEIGHT, linear, sample

from pyxai import metrics


def test_completeness():
    x = sample()
    exact = metrics.completeness(linear, x, x * WEIGHT)
    assert exact.abs().max() < 1e-12
    off = metrics.completeness(linear, x, x * WEIGHT + 0.25)
    torch.testing.assert_close(off, torch.ones(3, dtype=torch.float64))


def test_a_scalar_of_the_whole_batch_says_nothing_of_a_row():
    def model(rows):
        return rows.square().sum()

    x = torch.ones(3, 2)
    message = "model must return one value for each of 3 examples, got one scalar for all"
    with pytest.raises(ValueError, match=message):
        metrics.completeness(model, x, x)
    assert metrics.completeness(model, x[:1], x[:1]).tolist() == [0.0]
