"""Integrated gradients of neurons: captum's, and complete."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import LayerActivation, NeuronIntegratedGradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(
            case.inputs,
            chosen,
            case.baselines,
            n_steps=15,
            attribute_to_neuron_input=at_input,
        )
        for each in (
            NeuronIntegratedGradients(case.model, name),
            captum.NeuronIntegratedGradients(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_they_add_up_to_the_change_of_the_neuron():
    case = make("mlp")
    found = NeuronIntegratedGradients(case.model, "3").attribute(case.inputs, 1, n_steps=400)
    value, start = (
        LayerActivation(case.model, "3").attribute(each)[:, 1]
        for each in (case.inputs, torch.zeros(4, 4))
    )
    torch.testing.assert_close(found.sum(1), value - start, rtol=0, atol=2e-3)


def test_without_multiplication_it_is_per_unit_of_input():
    case = make("mlp")
    times, plain = (
        NeuronIntegratedGradients(case.model, "3", multiply_by_inputs=each).attribute(
            case.inputs, 1, 0.5
        )
        for each in (True, False)
    )
    assert_same(times, plain * (case.inputs - 0.5))
