"""Deconvolution of neurons: captum's."""

import captum.attr as captum
import pytest
import torch
from layer_cases import RELU_NEURONS, assert_same, make
from torch import nn

from pyxai.attribution import Deconvolution, NeuronDeconvolution

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), RELU_NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(case.inputs, chosen, attribute_to_neuron_input=at_input)
        for each in (
            NeuronDeconvolution(case.model, name),
            captum.NeuronDeconvolution(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_of_the_last_layer_it_is_that_of_the_output():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(4, 4)
    found = NeuronDeconvolution(net.eval(), "4").attribute(x, 1)
    assert_same(found, Deconvolution(net).attribute(x, 1))
