"""Gradients of neurons: captum's, and of sums of several."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make
from torch import nn

from pyxai.attribution import NeuronGradient

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(case.inputs, chosen, attribute_to_neuron_input=at_input)
        for each in (
            NeuronGradient(case.model, name),
            captum.NeuronGradient(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_of_a_linear_layer_it_is_its_weights():
    case = make("mlp")
    found = NeuronGradient(case.model, "0").attribute(case.inputs, 2)
    assert_same(found, case.model[0].weight[2].detach().expand(4, -1))


def test_neurons_of_a_slice_and_of_a_function_are_added_up():
    case = make("cnn")
    method = NeuronGradient(case.model, "0")
    several = method.attribute(case.inputs, (1, slice(0, 2), 3))
    each = [method.attribute(case.inputs, (1, row, 3)) for row in (0, 1)]
    assert_same(several, each[0] + each[1])
    by_function = method.attribute(case.inputs, lambda values: values[:, 1, :2, 3].sum(1))
    assert_same(by_function, several)


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        (9, ValueError, r"neuron_selector must be in -6 \.\. 5 for a layer of shape .*, got 9"),
        ((0, 1), ValueError, r"neuron_selector must have 1 index\(es\) for a layer of shape"),
        ((), TypeError, "neuron_selector must have at least one index, got an empty tuple"),
        ("a", TypeError, "neuron_selector must be an integer, a tuple of integers and slices"),
        (True, TypeError, "neuron_selector must hold integers or slices, got True"),
        (slice(3, 3), ValueError, "neuron_selector must choose a neuron, got slice"),
        (lambda v: v[:1], ValueError, "neuron_selector must return a tensor with a row for each"),
    ],
)
def test_selectors_that_do_not_fit_are_named(chosen, error, message):
    case = make("mlp")
    with pytest.raises(error, match=message):
        NeuronGradient(case.model, "0").attribute(case.inputs, chosen)


def test_layers_by_name_the_nearest_is_named():
    with pytest.raises(ValueError, match=r"got 'joind'; did you mean 'joined'"):
        NeuronGradient(make("two").model, "joind")


def test_ids_have_no_gradients():
    case = make("lstm")
    with pytest.raises(TypeError, match="inputs must be floating point"):
        NeuronGradient(case.model, "before").attribute(case.inputs, (0, 0))


def test_model_is_left_as_found():
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval()
    with pytest.raises(ValueError, match="neuron_selector must be in"):
        NeuronGradient(net, "0").attribute(torch.ones(1, 3), 5)
    assert not any(m._forward_hooks for m in net.modules())
    assert all(p.requires_grad for p in net.parameters())


def test_an_input_that_a_neuron_ignores_gets_zeros():
    case = make("two")
    left, right = NeuronGradient(case.model, "left").attribute(case.inputs, 1)
    assert_same(left, case.model.left.weight[1].detach().expand(4, -1))
    assert torch.equal(right, torch.zeros(4, 3))
