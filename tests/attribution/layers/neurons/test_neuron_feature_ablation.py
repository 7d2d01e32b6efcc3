"""Ablation of features, seen by neurons: captum's."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import NeuronFeatureAblation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(case.inputs, chosen, case.baselines, attribute_to_neuron_input=at_input)
        for each in (
            NeuronFeatureAblation(case.model, name),
            captum.NeuronFeatureAblation(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_of_a_linear_layer_it_is_weight_times_input():
    case = make("mlp")
    found = NeuronFeatureAblation(case.model, "0").attribute(case.inputs, 2)
    assert_same(found, (case.model[0].weight[2] * case.inputs).detach())


def test_groups_fall_together():
    case = make("mlp")
    mask = torch.tensor([[0, 0, 0, 1]])
    found = NeuronFeatureAblation(case.model, "0").attribute(case.inputs, 2, feature_mask=mask)
    each = (case.model[0].weight[2] * case.inputs).detach()
    assert_same(found[:, 0], each[:, :3].sum(1))
    assert_same(found[:, 3], each[:, 3])
