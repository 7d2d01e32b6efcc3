"""The values of layers, as the model itself has them."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers
from torch import nn

from pyxai.attribution import LayerActivation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    ours = LayerActivation(case.model, name).attribute(
        case.inputs, case.arguments, attribute_to_layer_input=at_input
    )
    theirs = captum.LayerActivation(case.model, case.layer(name)).attribute(
        case.inputs, case.arguments, attribute_to_layer_input=at_input
    )
    assert_same(ours, theirs)


def test_values_are_those_that_the_layer_gives_and_takes():
    case = make("mlp")
    hidden = case.model[0](case.inputs)
    method = LayerActivation(case.model, "1")
    assert_same(method.attribute(case.inputs), hidden.relu())
    assert_same(method.attribute(case.inputs, attribute_to_layer_input=True), hidden)


def test_several_layers_give_a_list():
    case = make("cnn")
    found = LayerActivation(case.model, ["0", case.layer("4")]).attribute(case.inputs)
    assert_same(found, [case.model[0](case.inputs), case.model(case.inputs)])


def test_large_ids_that_a_layer_takes_come_back_as_they_are():
    class Modulo(nn.Module):
        def forward(self, ids):
            return (ids % 7).float()

    net = nn.Sequential(Modulo(), nn.Linear(2, 1)).eval()
    ids = torch.tensor([[2**24 + 1, 3], [5, 2**40 + 1]])
    found = LayerActivation(net, "0").attribute(ids, attribute_to_layer_input=True)
    assert torch.equal(found, ids)
    assert found.dtype == torch.int64


def test_bfloat16_values_come_back_as_they_are():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval().bfloat16()
    x = torch.randn(4, 3, dtype=torch.bfloat16)
    assert torch.equal(LayerActivation(net, "0").attribute(x), net[0](x))
