"""Infinite values inside a model: masks of minus infinity, logarithms of 0, poles."""

import pytest
import torch
from deep_nets import Function
from torch import nn

from pyxai.attribution import LRP, DeepLift, DeepLiftShap, DeepTaylor

INF = torch.inf


def masked(weight, mask):
    """Log probabilities of the classes that the mask leaves."""
    return Function(lambda _, x: (x @ weight.T).masked_fill(mask, -INF).log_softmax(-1))


WEIGHT = torch.tensor([[1, 0.5], [0.3, -1], [2, 1]], dtype=torch.float64)
THIRD = torch.tensor([False, False, True])


def test_lrp_over_masked_classes_by_hand():
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    found = LRP(masked(WEIGHT, THIRD)).attribute(x, target=0)
    expected = torch.tensor([[0.0169, 0.0724]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)
    added = torch.zeros(3, dtype=torch.float64).masked_fill(THIRD, -INF)
    model = Function(lambda _, x: (x @ WEIGHT.T + added).log_softmax(-1))
    torch.testing.assert_close(LRP(model).attribute(x, target=0), found)
    single = LRP(masked(WEIGHT.float(), THIRD)).attribute(x.float(), target=0)
    torch.testing.assert_close(single, expected.float(), rtol=0, atol=5e-5)


def square(x):
    return x @ torch.tensor([[1.0, 0.5, -1], [0.3, -1, 2], [2, 1, 0.4]]).to(x)


# Each is infinite where its first argument is not, or where it is 0.
MODELS = {
    "masked scores": lambda _, x: square(x).masked_fill(x < 0, -INF).softmax(-1),
    "masked log": lambda _, x: square(x).masked_fill(x < 0, -INF).log_softmax(-1),
    "where": lambda _, x: torch.where(x < 0, -INF, square(x)).softmax(-1),
    "scaled after the mask": lambda _, x: (x.masked_fill(x < 0, -INF) / 8 + 1).softmax(-1),
    "logarithm of 0": lambda _, x: x.relu().log().softmax(-1),
    "logsumexp": lambda _, x: x.relu().log().logsumexp(-1, keepdim=True) + 0 * x,
    "pole": lambda _, x: (1 / x.relu()).neg().exp() + x,
    "sigmoid of a pole": lambda _, x: (1 / x.relu()).sigmoid() + x,
    "relu": lambda _, x: x.relu().log().relu() + x,
    "gelu": lambda _, x: nn.functional.gelu(x.relu().log()) + x,
    "maximum": lambda _, x: torch.maximum(x.relu().log(), x),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", MODELS)
def test_deep_lift_is_complete_where_one_end_is_infinite(name, rule, dtype):
    model = Function(MODELS[name])
    x = torch.tensor([[1, -0.7, 0.6], [0.4, 1.2, 0.9], [1.5, 0.3, -1]], dtype=dtype)
    b = torch.tensor([[0.2, 0.5, 0.9]], dtype=dtype).expand(3, 3)
    near = 1e-10 if dtype == torch.float64 else 1e-5
    for there, back in ((x, b), (b.contiguous(), x)):
        found = DeepLift(model, rule=rule).attribute(there, back, target=0)
        change = (model(there) - model(back))[:, 0]
        torch.testing.assert_close(found.sum(1), change, rtol=0, atol=near)
        for row in range(3):  # gets what it gets alone
            rows = slice(row, row + 1)
            alone = DeepLift(model, rule=rule).attribute(there[rows], back[rows], target=0)
            torch.testing.assert_close(alone[0], found[row], rtol=near, atol=near)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_deep_shap_is_the_mean_of_deep_lift(rule):
    model = Function(MODELS["masked scores"])
    x = torch.tensor([[1, -0.7, 0.6], [0.4, 1.2, 0.9]], dtype=torch.float64)
    baselines = torch.tensor([[0.2, 0.5, 0.9], [-1, 0.2, 0.1]], dtype=torch.float64)
    found, delta = DeepLiftShap(model, rule=rule).attribute(
        x, baselines, target=1, return_convergence_delta=True
    )
    each = [DeepLift(model, rule=rule).attribute(x, b.expand(2, 3), target=1) for b in baselines]
    torch.testing.assert_close(found, sum(each) / 2)
    assert delta.abs().max() < 1e-10


def test_masks_that_stand_at_both_ends_are_as_without_the_masked_classes():
    x, b = (torch.tensor([row], dtype=torch.float64) for row in ([1.0, 2], [0.5, -1]))
    whole, part = masked(WEIGHT, THIRD), masked(WEIGHT[:2], THIRD[:2])
    for method in (DeepLift, LRP):
        further = {"baselines": b} if method is DeepLift else {}
        found = method(whole).attribute(x, target=1, **further)
        expected = method(part).attribute(x, target=1, **further)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_is_an_error():
    """The outputs are finite."""
    x = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, 0.5], [0.5, 1]])
    model = nn.Sequential(Function(lambda _, x: 1 / x), layer, nn.Sigmoid())
    for method in (LRP(model), DeepTaylor(model)):
        with pytest.raises(ValueError, match=r"relevance must be finite, got [12] NaN"):
            method.attribute(x, target=0)
    model = Function(lambda _, x: torch.atan(1 / x))  # 3e4 in place of infinity is not enough
    with pytest.raises(ValueError, match="multipliers of the model must be finite, got 1 NaN"):
        DeepLift(model).attribute(x, x + 1, target=0)
    with pytest.raises(ValueError, match="multipliers of the model must be finite"):
        DeepLiftShap(model).attribute(x, x + 1, target=0)
