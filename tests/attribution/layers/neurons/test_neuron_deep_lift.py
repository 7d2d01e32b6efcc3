"""DeepLIFT of neurons: captum's, and complete."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import LayerActivation, NeuronDeepLift

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(case.inputs, chosen, case.baselines, attribute_to_neuron_input=at_input)
        for each in (
            NeuronDeepLift(case.model, name),
            captum.NeuronDeepLift(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_they_add_up_to_the_change_of_the_neuron():
    case = make("mlp")
    found = NeuronDeepLift(case.model, "3").attribute(case.inputs, 1, 0.5)
    value, start = (
        LayerActivation(case.model, "3").attribute(each)[:, 1]
        for each in (case.inputs, torch.full((4, 4), 0.5))
    )
    torch.testing.assert_close(found.sum(1), value - start, rtol=0, atol=1e-6)


def test_functions_of_the_user_are_called():
    case = make("mlp")
    found = NeuronDeepLift(case.model, "3").attribute(
        case.inputs, 1, custom_attribution_func=lambda multipliers: multipliers
    )
    plain = NeuronDeepLift(case.model, "3", multiply_by_inputs=False).attribute(case.inputs, 1)
    assert_same(found, plain)
