"""Conductance of neurons: captum's, and a share of integrated gradients."""

import captum.attr as captum
import pytest
import torch
from layer_cases import NEURONS, assert_same, make

from pyxai.attribution import IntegratedGradients, NeuronConductance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(("kind", "name", "at_input", "chosen"), NEURONS)
def test_equals_captum(kind, name, at_input, chosen):
    case = make(kind)
    ours, theirs = (
        each.attribute(
            case.inputs,
            chosen,
            case.baselines,
            1,
            n_steps=15,
            method="gausslegendre",
            attribute_to_neuron_input=at_input,
        )
        for each in (
            NeuronConductance(case.model, name),
            captum.NeuronConductance(case.model, case.layer(name)),
        )
    )
    assert_same(ours, theirs)


def test_over_a_layer_they_add_up_to_integrated_gradients():
    case = make("mlp")
    method = NeuronConductance(case.model, "0")
    given = {"target": 2, "n_steps": 15, "method": "gausslegendre"}
    total = sum(method.attribute(case.inputs, unit, **given) for unit in range(6))
    whole = IntegratedGradients(case.model).attribute(case.inputs, **given)
    assert_same(total, whole)
    at_once = method.attribute(case.inputs, (slice(None),), **given)
    assert_same(at_once, whole)
    by_function = method.attribute(case.inputs, lambda values: values, **given)
    assert_same(by_function, whole)


def test_sizes_of_passes_do_not_matter():
    case = make("two")
    x = tuple(each.double() for each in case.inputs)
    method = NeuronConductance(case.model.double(), "joined")
    whole = method.attribute(x, 1, target=1, n_steps=7)
    for size in (1, 3, 8):
        parts = method.attribute(x, 1, target=1, n_steps=7, internal_batch_size=size)
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_targets_of_rows_are_their_own():
    case = make("mlp")
    method = NeuronConductance(case.model, "2")
    rows = method.attribute(case.inputs, 1, target=torch.tensor([0, 1, 2, 0]))
    for row, target in enumerate((0, 1, 2, 0)):
        alone = method.attribute(case.inputs[row : row + 1], 1, target=target)
        assert_same(rows[row : row + 1], alone)
