"""DeepLIFT at layers: captum's where that is complete, and complete everywhere."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers
from torch import nn

from pyxai.attribution import DeepLift, LayerDeepLift

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


# captum takes gradients through LSTMs, and of what passes through them misses the difference.
WITHOUT_LSTM = ("mlp", "cnn", "two", "bag")


@on_layers
def test_equals_captum_and_is_complete(kind, name, at_input):
    case = make(kind)
    given = (case.inputs, case.baselines, 1, case.arguments)
    ours, delta = LayerDeepLift(case.model, name).attribute(
        *given, return_convergence_delta=True, attribute_to_layer_input=at_input
    )
    assert delta.abs().max() < 1e-5
    rows, starts = (
        each if isinstance(each, tuple) else (each,) for each in (case.inputs, case.baselines)
    )
    more = () if case.arguments is None else (case.arguments,)
    change = case.model(*rows, *more)[:, 1] - case.model(*starts, *more)[:, 1]
    torch.testing.assert_close(ours.flatten(1).sum(1), change.detach(), rtol=0, atol=1e-5)
    if kind in WITHOUT_LSTM:
        theirs = captum.LayerDeepLift(case.model, case.layer(name)).attribute(
            *given, attribute_to_layer_input=at_input
        )
        assert_same(ours, theirs)


def test_at_the_input_of_the_first_layer_it_is_deep_lift():
    case = make("cnn")
    ours = LayerDeepLift(case.model, "0").attribute(
        case.inputs, case.baselines, 1, attribute_to_layer_input=True
    )
    assert_same(ours, DeepLift(case.model).attribute(case.inputs, case.baselines, 1), 1e-6)


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.act = nn.Linear(3, 3), nn.Tanh()

    def forward(self, x):
        return self.act(self.inner(x) + x).sum(1)


def test_what_passes_a_layer_by_moves_too_and_is_the_delta():
    torch.manual_seed(0)
    net, x = Skip().eval(), torch.randn(4, 3)
    found, delta = LayerDeepLift(net, "inner").attribute(x, return_convergence_delta=True)
    zeros = torch.zeros_like(x)
    ends, starts = net.inner(x) + x, net.inner(zeros)
    slope = (ends.tanh() - starts.tanh()) / (ends - starts)
    assert_same(found, slope * (net.inner(x) - net.inner(zeros)))
    torch.testing.assert_close(delta, -(slope * x).sum(1).detach(), rtol=1e-4, atol=1e-5)
    assert_same(found, captum.LayerDeepLift(net, net.inner).attribute(x, zeros))


def test_a_function_of_the_user_sees_the_layer_alone():
    case = make("two")

    def custom(multipliers, values, starts):
        assert [len(each) for each in (multipliers, values, starts)] == [1, 1, 1]
        return (multipliers[0] * 2,)

    method = LayerDeepLift(case.model, "joined", multiply_by_inputs=False)
    plain = method.attribute(case.inputs, target=1)
    twice = method.attribute(case.inputs, target=1, custom_attribution_func=custom)
    assert_same(twice, 2 * plain)


def test_layers_of_another_model_are_refused():
    case = make("mlp")
    with pytest.raises(ValueError, match="layer must be a module of the model, got a Linear"):
        LayerDeepLift(case.model, nn.Linear(2, 2)).attribute(case.inputs, target=1)


def test_weights_that_change_between_calls_are_seen():
    case = make("mlp")
    method = LayerDeepLift(case.model, "1")
    before = method.attribute(case.inputs, target=1)
    with torch.no_grad():
        case.model[4].weight.mul_(3)
    assert_same(method.attribute(case.inputs, target=1), 3 * before)
