"""What is printed of a model and of its negative differs in signs alone: the largest come first."""

import re

import pytest
import torch
from public_calls import CALLS, NET, X
from torch import nn

from pyxai.explanation.numbers import number, rounding
from pyxai.taylor.pairs.integrated_hessians import (
    _ROW_TOLERANCE,
    IntegratedHessians,
    _misses_rows,
)

EFFECTS = {
    **{key: {} for key in ("harsanyi_dividends", "interaction_indices", "pairwise_terms")},
    **{key: {} for key in ("integrated_hessians", "taylor_jet", "taylor_effects")},
    "terms": {"kind": "kappa", "max_order": 2},
    "orders": {"kind": "order", "max_order": 2},
}
WIDE = nn.Sequential(nn.Linear(6, 7), nn.Softplus(), nn.Linear(7, 3)).double().eval()
CASES = {"few": (NET, X), "many": (WIDE, torch.linspace(-2, 2, 12).double().view(2, 6).sin())}


def unsigned(text):
    """Drop signs, and the space that a printed number gains where its sign goes."""
    return re.sub(r" +", " ", re.sub(r"[+-](?=\d)", "", text))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EFFECTS)
def test_the_negative_model_is_printed_alike(name, case):
    net, inputs = CASES[case]
    call = CALLS.get(name, CALLS["taylor_effects"])
    plain, turned = (
        str(call(model=model, inputs=inputs, **EFFECTS[name])) for model in (net, lambda x: -net(x))
    )
    assert plain != turned
    assert unsigned(plain) == unsigned(turned)


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e6])
def test_strengths_and_noise_floors_have_no_sign(shift):
    plain, turned = (
        CALLS["harsanyi_dividends"](model=model, inputs=X)
        for model in (lambda x: NET(x) + shift, lambda x: -NET(x) - shift)
    )
    assert torch.equal(plain.noise_floor, turned.noise_floor)
    assert (plain.noise_floor > 0).all()
    assert torch.equal(plain.strength_by_size(), turned.strength_by_size())
    singles = plain.values[:, [1, 2, 4, 8]].abs().sum(1)
    torch.testing.assert_close(plain.strength_by_size()[:, 1], singles)


@pytest.mark.parametrize("gap", [1.0, -1.0])
@pytest.mark.parametrize("size", [1.0, -1.0])
def test_rows_that_are_missed_are_so_on_either_side(gap, size):
    """Of a share of the attributions, whatever signs they have."""
    for share, missed in ((0.5 * _ROW_TOLERANCE, False), (2 * _ROW_TOLERANCE, True)):
        attributions = size * torch.tensor([[3.0, 1.0]], dtype=torch.float64)
        matrix = torch.diag_embed(attributions)
        matrix[0, 0, 0] -= gap * 4 * share
        ends = torch.zeros(1, dtype=torch.float64)
        found = IntegratedHessians(matrix, attributions, ends, ends, "smooth", "", ("a", "b"))
        assert _misses_rows(found) == missed


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
