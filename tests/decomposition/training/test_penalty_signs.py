"""Penalties in numbers: of scores of both signs, above and below what they should be."""

import math

import pytest
import torch

from pyxai.decomposition.training.penalties import PENALTIES, desired_like, reduced

D = torch.float64
HALF = 1 / (1 + math.exp(-1))  # the share of a group that leads by one


@pytest.mark.parametrize(
    ("penalty", "relevant", "irrelevant", "desired", "expected"),
    [
        ("sigmoid", 2.0, 1.0, 0.0, HALF),
        ("sigmoid", 2.0, 1.0, 1.0, 1 - HALF),
        ("sigmoid", -2.0, -1.0, 1.0, HALF),
        ("softplus", 2.0, 1.0, 0.0, math.log1p(math.e)),
        ("softplus", 2.0, 1.0, 1.0, math.log1p(math.e) - 1),
        ("absolute", 2.0, 9.0, 0.5, 1.5),
        ("absolute", -2.0, 9.0, 0.5, 2.5),
        ("square", 2.0, 9.0, 0.5, 2.25),
        ("square", -2.0, 9.0, 0.5, 6.25),
        ("ratio", 1.0, 3.0, 0.0, 0.25),
        ("ratio", -1.0, 3.0, 0.0, 0.25),
        ("ratio", 1.0, -3.0, 0.0, 0.25),
        ("ratio", 1.0, 3.0, 1.0, 0.75),
        ("ratio", 0.0, 0.0, 0.0, 0.0),
        ("ratio", 0.0, 0.0, 0.5, 0.5),
    ],
)
def test_penalties_in_numbers(penalty, relevant, irrelevant, desired, expected):
    given = (torch.tensor([[value]], dtype=D) for value in (relevant, irrelevant, desired))
    assert PENALTIES[penalty](*given).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("penalty", ["sigmoid", "softplus", "ratio"])
def test_shares_are_from_0_to_1_ends_included(penalty):
    scores = torch.zeros(2, 3, dtype=D)
    for desired in (0.0, 1.0):
        assert desired_like(scores, desired, penalty) == desired
    for desired in (-0.01, 1.01):
        with pytest.raises(ValueError, match=r"desired must be in \[0, 1\], a share"):
            desired_like(scores, desired, penalty)
        assert desired_like(scores, desired, "square") == desired


def test_the_mean_is_over_the_examples_that_have_a_group():
    penalties = torch.tensor([[1.0, 5.0, 7.0], [3.0, torch.nan, 9.0]], dtype=D)
    there = torch.tensor([[True, True, False], [True, False, False]])
    assert reduced(penalties, there, "mean").item() == 2.0 + 5.0 + 0.0
    assert reduced(penalties, there, "none").tolist() == [[1.0, 5.0, 0.0], [3.0, 0.0, 0.0]]
