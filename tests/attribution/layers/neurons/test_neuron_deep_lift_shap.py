"""Deep SHAP of neurons: captum's."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import NeuronDeepLift, NeuronDeepLiftShap

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(case.inputs, chosen, case.background, attribute_to_neuron_input=at_input)
        for each in (
            NeuronDeepLiftShap(case.model, name),
            captum.NeuronDeepLiftShap(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_is_the_mean_over_baselines():
    case = make("mlp")
    found = NeuronDeepLiftShap(case.model, "3").attribute(case.inputs, 1, case.background)
    each = [
        NeuronDeepLift(case.model, "3").attribute(case.inputs, 1, row[None])
        for row in case.background
    ]
    assert_same(found, torch.stack(each).mean(0))
