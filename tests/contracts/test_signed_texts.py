"""What is printed of a model and of its negative differs in signs alone: the largest come first."""

import re

import pytest
import torch
from public_calls import CALLS, NET, X
from torch import nn

from pyxai.explanation.numbers import number, rounding

EFFECTS = (
    *("harsanyi_dividends", "interaction_indices", "pairwise_terms", "integrated_hessians"),
    *("taylor_effects", "taylor_jet"),
)
WIDE = nn.Sequential(nn.Linear(6, 7), nn.Softplus(), nn.Linear(7, 3)).double().eval()
CASES = {"few": (NET, X), "many": (WIDE, torch.linspace(-2, 2, 12).double().view(2, 6).sin())}


def unsigned(text):
    """Drop signs, and the space that a printed number gains where its sign goes."""
    return re.sub(r" +", " ", re.sub(r"[+-](?=\d)", "", text))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EFFECTS)
def test_the_negative_model_is_printed_alike(name, case):
    net, inputs = CASES[case]
    plain, turned = (
        str(CALLS[name](model=model, inputs=inputs)) for model in (net, lambda x: -net(x))
    )
    assert plain != turned
    assert unsigned(plain) == unsigned(turned)


def test_rounding_is_that_of_the_largest_of_either_sign():
    for values in ([-8.0, 1.0], [8.0, -1.0], [-8.0, -1.0]):
        tensor = torch.tensor(values)
        assert rounding(tensor) == rounding(-tensor) == 4 * 8 * torch.finfo(torch.float32).eps
    assert rounding(torch.tensor([torch.nan, -torch.inf, 2.0])) == rounding(torch.tensor([2.0]))
    assert rounding() == rounding(torch.zeros(0), torch.arange(3)) == 0
    fine, coarse = torch.ones(1).double(), torch.ones(1)
    assert rounding(fine, coarse) == rounding(coarse) > rounding(fine)


def test_only_what_is_not_larger_than_zero_is_0():
    assert number(-0.0, "+.3g") == number(-2.0, "+.3g", 2.0) == number(2.0, "+.3g", 2.0) == "0"
    assert number(-2.5, "+.3g", 2.0) == "-2.5"
    assert number(1e-300, "+.3g") == "+1e-300"
