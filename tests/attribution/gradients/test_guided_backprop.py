"""Guided backpropagation against autograd functions in place of the ReLUs."""

import pytest
import torch
from modified_relus import assert_modified
from torch import nn

from pyxai import PyxaiWarning
from pyxai.attribution import GuidedBackprop


def test_relus_are_found_wherever_they_are():
    assert_modified(GuidedBackprop, guided=True)


def test_guided_backprop_without_relus_says_so():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).double()
    with pytest.warns(PyxaiWarning, match="changes the gradient of ReLUs, and the model has none"):
        GuidedBackprop(net).attribute(torch.ones(1, 4, dtype=torch.float64), target=0)
