"""Outputs of one row are the same twice up to rounding, of whatever sign and kind they are."""

import pytest
import torch

from pyxai.runner.mixing import agree

EPS = torch.finfo(torch.float64).eps ** 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_is_judged_beside_the_largest_of_either_sign(sign):
    own = sign * torch.tensor([1000.0, 500.0, 0.0], dtype=torch.float64)
    assert agree(own + 900 * EPS, own)
    assert not agree(own + 1100 * EPS, own)
    assert not agree(own - 1100 * EPS, own)


def test_the_coarser_dtype_decides():
    own = torch.tensor([1.0], dtype=torch.float64)
    near = own + 1e-5
    assert not agree(near, own)
    assert agree(near.float(), own)
    assert agree(near, own.float())


def test_numbers_that_are_not_finite_agree_with_themselves_alone():
    own = torch.tensor([torch.nan, torch.inf, 1.0])
    assert agree(own.clone(), own)
    assert not agree(torch.tensor([torch.nan, -torch.inf, 1.0]), own)
    assert not agree(torch.tensor([torch.nan, torch.inf, 1.1]), own)


def test_whole_numbers_and_shapes_are_the_same_or_not():
    assert agree(torch.tensor([3, 2**60]), torch.tensor([3, 2**60]))
    assert not agree(torch.tensor([3, 2**60 + 1]), torch.tensor([3, 2**60]))
    assert not agree(torch.ones(1, 2), torch.ones(2))
    assert agree(torch.ones(0), torch.ones(0))
    assert not agree("text", "text")
