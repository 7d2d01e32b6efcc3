"""Conductance: captum's sum of steps, and completeness as they grow."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_float_layers

from pyxai.attribution import LayerConductance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_float_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    for method in ("gausslegendre", "riemann_trapezoid"):
        given = {"n_steps": 13, "method": method, "attribute_to_layer_input": at_input}
        assert_same(
            LayerConductance(case.model, name).attribute(case.inputs, case.baselines, 1, **given),
            captum.LayerConductance(case.model, case.layer(name)).attribute(
                case.inputs, case.baselines, 1, **given
            ),
        )


def test_it_comes_near_to_completeness_with_more_steps():
    case = make("mlp")
    gaps = []
    for n_steps in (50, 200, 800):
        found, delta = LayerConductance(case.model, "1").attribute(
            case.inputs,
            target=1,
            n_steps=n_steps,
            method="riemann_trapezoid",
            return_convergence_delta=True,
        )
        change = case.model(case.inputs)[:, 1] - case.model(torch.zeros(4, 4))[:, 1]
        torch.testing.assert_close(found.sum(1) - change, delta, rtol=0, atol=1e-5)
        gaps.append(float(delta.abs().max()))
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert gaps[2] < 2e-3


def test_sizes_of_passes_do_not_matter():
    case = make("two")
    x = tuple(each.double() for each in case.inputs)
    method = LayerConductance(case.model.double(), "joined")
    whole = method.attribute(x, target=1, n_steps=7)
    for size in (1, 3, 8):
        parts = method.attribute(x, target=1, n_steps=7, internal_batch_size=size)
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_inputs_without_a_path_are_refused():
    case = make("lstm")
    with pytest.raises(TypeError, match="inputs must be floating point"):
        LayerConductance(case.model, "words").attribute(case.inputs, target=1)
