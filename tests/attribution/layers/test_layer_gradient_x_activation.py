"""Gradient times value at layers: that of captum, and of a closed form."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers

from pyxai.attribution import LayerGradientXActivation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    given = (case.inputs, 1, case.arguments)
    for times in (True, False):
        ours = LayerGradientXActivation(case.model, name, multiply_by_inputs=times)
        theirs = captum.LayerGradientXActivation(
            case.model, case.layer(name), multiply_by_inputs=times
        )
        assert_same(
            ours.attribute(*given, attribute_to_layer_input=at_input),
            theirs.attribute(*given, attribute_to_layer_input=at_input),
        )


def test_before_the_head_it_is_its_weights_times_what_it_takes():
    case = make("mlp")
    head = case.model[4]
    found = LayerGradientXActivation(case.model, "4").attribute(
        case.inputs, 2, attribute_to_layer_input=True
    )
    assert_same(found, (head.weight[2] * case.model[:4](case.inputs)).detach())


def test_several_layers_give_a_list():
    case = make("two")
    found = LayerGradientXActivation(case.model, ["left", "joined"]).attribute(case.inputs, 1)
    alone = [
        LayerGradientXActivation(case.model, name).attribute(case.inputs, 1)
        for name in ("left", "joined")
    ]
    assert_same(found, alone)


def test_sizes_of_passes_do_not_matter():
    case = make("cnn")
    method = LayerGradientXActivation(case.model.double(), "0")
    x = case.inputs.double()
    parts = method.attribute(x, 1, internal_batch_size=1)
    torch.testing.assert_close(parts, method.attribute(x, 1), rtol=1e-12, atol=1e-12)
