"""Warnings name the user's line, however deep in the package they come from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pyxai
from pyxai import taylor
from pyxai.attribution import (
    DeepLift,
    GreedyPIG,
    GuidedBackprop,
    IntegratedGradients,
    ShapleyValueSampling,
)


class Frequent(nn.Module):
    def forward(self, x):
        return x.mode(1)[0].unsqueeze(1) * x


SMOOTH = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
KINKED = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
CASES = {
    "no_rule": lambda: DeepLift(Frequent(), strict=False).attribute(X, target=1),
    "no_relu": lambda: GuidedBackprop(SMOOTH).attribute(X, target=1),
    "integrated_gradients": lambda: IntegratedGradients(KINKED).attribute(
        10 * X, target=1, tolerance=1e-12, max_steps=50
    ),
    "explain": lambda: pyxai.explain(SMOOTH, X, method="guided_backprop", target=1),
    "taylor_effects": lambda: taylor.taylor_effects(KINKED, X, target=1, kind="order"),
    "taylor_jet": lambda: taylor.taylor_jet(KINKED, X, target=1),
    "sampling": lambda: ShapleyValueSampling(SMOOTH).attribute(
        X, target=1, tolerance=1e-9, max_evals=50
    ),
    "greedy_pig": lambda: GreedyPIG(KINKED).attribute(
        10 * X, target=1, tolerance=1e-12, max_steps=16
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_line_of_the_caller(name):
    with pytest.warns(pyxai.PyxaiWarning) as warned:
        CASES[name]()
    assert {each.filename for each in warned} == {__file__}
