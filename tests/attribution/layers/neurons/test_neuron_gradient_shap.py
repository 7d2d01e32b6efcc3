"""Gradient SHAP of neurons: that of the neuron as a model."""

import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import GradientShap, NeuronGradientShap


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_gradient_shap_of_the_values_of_the_layer(kind, name, at_input, chosen):
    case = make(kind)
    index = chosen if isinstance(chosen, tuple) else (chosen,)

    def neuron(*inputs):
        seen = []
        layer = case.layer(name)
        add = layer.register_forward_pre_hook if at_input else layer.register_forward_hook
        hook = add(lambda *given: seen.append(given[-1]))
        case.model(*inputs)
        hook.remove()
        value = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        return value[(slice(None), *index)]

    given = {"n_samples": 7, "stdevs": 0.1, "seed": 5}
    found = NeuronGradientShap(case.model, name).attribute(
        case.inputs, chosen, case.background, attribute_to_neuron_input=at_input, **given
    )
    assert_same(found, GradientShap(neuron).attribute(case.inputs, case.background, **given))


def test_one_seed_gives_one_answer():
    case = make("mlp")
    method = NeuronGradientShap(case.model, "3")
    one, two, other = (
        method.attribute(case.inputs, 1, case.background, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
