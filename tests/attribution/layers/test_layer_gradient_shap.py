"""Gradient SHAP at layers: exact for linear models, one seed one answer."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers
from torch import nn

from pyxai.attribution import GradientShap, LayerGradientShap, LayerIntegratedGradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_layers
def test_many_draws_come_near_to_the_mean_of_integrated_gradients(kind, name, at_input):
    case = make(kind)
    rows = case.background if isinstance(case.background, tuple) else (case.background,)
    given = (1, case.arguments)
    found, delta = LayerGradientShap(case.model, name).attribute(
        case.inputs, case.background, 400, 0.0, *given, True, at_input
    )
    each = []
    for number in range(3):
        start = tuple(part[number : number + 1] for part in rows)
        each.append(
            LayerIntegratedGradients(case.model, name).attribute(
                case.inputs,
                start if len(start) > 1 else start[0],
                *given,
                attribute_to_layer_input=at_input,
            )
        )
    mean = torch.stack(each).mean(0)
    spread = torch.stack(each).std(0).max()
    assert (found - mean).abs().max() < 0.25 * spread + 0.05
    assert delta.shape == (1600,)
    assert delta.view(4, -1).mean(1).abs().max() < 0.1


def test_with_one_baseline_and_a_linear_rest_it_is_captums():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
    x, start = torch.randn(5, 3), torch.randn(1, 3)
    ours, delta = LayerGradientShap(net, "1").attribute(
        x, start, target=1, return_convergence_delta=True
    )
    theirs = captum.LayerGradientShap(net, net[1]).attribute(x, start, target=1)
    assert_same(ours, theirs)
    assert delta.abs().max() < 1e-6


def test_at_the_input_of_the_first_layer_it_is_gradient_shap():
    case = make("mlp")
    given = (case.inputs, case.background, 6, 0.1, 1)
    ours, delta = LayerGradientShap(case.model, "0").attribute(
        *given, return_convergence_delta=True, attribute_to_layer_input=True, seed=3
    )
    plain, own = GradientShap(case.model).attribute(*given, return_convergence_delta=True, seed=3)
    assert_same(ours, plain)
    assert_same(delta, own)


def test_one_seed_gives_one_answer_whatever_the_passes():
    case = make("bag")
    model = case.model.double()
    given = (case.inputs, case.background, 5, 0.0, 1, case.arguments.double())
    method = LayerGradientShap(model, "words")
    whole = method.attribute(*given, seed=1)
    torch.testing.assert_close(
        method.attribute(*given, seed=1, internal_batch_size=2), whole, rtol=1e-12, atol=1e-12
    )
    assert not torch.equal(method.attribute(*given, seed=2), whole)
    alone = method.attribute(
        case.inputs[2:3], case.background, 5, 0.0, 1, case.arguments[2:3].double(), seed=1
    )
    torch.testing.assert_close(alone, whole[2:3], rtol=1e-12, atol=1e-12)


def test_ids_have_no_noise():
    case = make("lstm")
    with pytest.raises(TypeError, match="inputs must be floating point for noise"):
        LayerGradientShap(case.model, "words").attribute(
            case.inputs, case.background, stdevs=0.1, target=1
        )
