"""Integrated gradients at layers: those of captum, and complete."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers
from torch import nn

import pyxai
from pyxai.attribution import IntegratedGradients, LayerIntegratedGradients

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    given = (case.inputs, case.baselines, 1, case.arguments)
    ours, delta = LayerIntegratedGradients(case.model, name).attribute(
        *given, return_convergence_delta=True, attribute_to_layer_input=at_input
    )
    theirs = captum.LayerIntegratedGradients(case.model, case.layer(name)).attribute(
        *given, attribute_to_layer_input=at_input
    )
    assert_same(ours, theirs)
    rows = case.inputs if isinstance(case.inputs, tuple) else (case.inputs,)
    starts = case.baselines if isinstance(case.baselines, tuple) else (case.baselines,)
    more = () if case.arguments is None else (case.arguments,)
    change = case.model(*rows, *more)[:, 1] - case.model(*starts, *more)[:, 1]
    torch.testing.assert_close(ours.flatten(1).sum(1) - change, delta, rtol=0, atol=1e-5)
    assert delta.abs().max() < 0.02


def test_several_layers_move_at_once():
    case = make("two")
    names = ["left", "right"]
    ours, delta = LayerIntegratedGradients(case.model, names).attribute(
        case.inputs, case.baselines, 1, return_convergence_delta=True
    )
    with pytest.warns(UserWarning, match="Multiple layers"):
        method = captum.LayerIntegratedGradients(case.model, [case.layer(n) for n in names])
    theirs = method.attribute(case.inputs, case.baselines, 1)
    assert_same(ours, theirs)
    outputs = case.model(*case.inputs)[:, 1] - case.model(*case.baselines)[:, 1]
    total = sum(part.sum(1) for part in ours)
    torch.testing.assert_close(total - outputs, delta, rtol=0, atol=1e-5)


def test_at_the_input_of_the_first_layer_it_is_integrated_gradients():
    case = make("cnn")
    ours = LayerIntegratedGradients(case.model, "0").attribute(
        case.inputs, case.baselines, 1, attribute_to_layer_input=True
    )
    assert_same(
        ours, IntegratedGradients(case.model).attribute(case.inputs, case.baselines, 1), 1e-7
    )


def test_what_passes_a_layer_by_is_not_in_its_delta():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(x).tanh().sum(1) + 5 * x.sum(1)

    torch.manual_seed(0)
    net, x = Skip().eval(), torch.ones(2, 3)
    found, delta = LayerIntegratedGradients(net, "inner").attribute(
        x, return_convergence_delta=True
    )
    through = net.inner(x).tanh().sum(1) - net.inner(torch.zeros(2, 3)).tanh().sum(1)
    torch.testing.assert_close(found.sum(1), through, rtol=0, atol=1e-5)
    assert delta.abs().max() < 1e-5


def test_one_baseline_for_all_is_that_of_each():
    case = make("lstm")
    method = LayerIntegratedGradients(case.model, "words")
    one = method.attribute(case.inputs, case.baselines[:1], 1)
    number = method.attribute(case.inputs, 1, 1)
    assert_same(one, method.attribute(case.inputs, case.baselines, 1), 1e-6)
    assert_same(number, one, 1e-6)


def test_explain_names_layers():
    case = make("bag")
    found = pyxai.explain(
        case.model,
        case.inputs,
        method=LayerIntegratedGradients,
        target=1,
        baselines=case.baselines,
        layer="words",
        additional_forward_args=case.arguments,
    )
    assert found.attributions.shape == (4, 5, 6)
    assert found.convergence_delta.abs().max() < 0.02


def test_tuples_of_a_layer_come_back_as_tuples_and_what_is_no_value_stays():
    class Parts(nn.Module):
        def forward(self, x):
            return x.tanh(), None, torch.arange(2), 2 * x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = Parts()

        def forward(self, x):
            first, nothing, numbers, last = self.parts(x)
            assert nothing is None
            assert numbers.tolist() == [0, 1]
            return (first * last).sum(1)

    x = torch.randn(3, 2)
    found, delta = LayerIntegratedGradients(Net(), "parts").attribute(
        x, return_convergence_delta=True
    )
    assert [part.shape for part in found] == [x.shape, x.shape]
    torch.testing.assert_close(found[0], x.tanh() * x, rtol=1e-5, atol=1e-6)  # half of the product
    assert delta.abs().max() < 1e-5


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        ("hiden", ValueError, r"got 'hiden'; did you mean 'hidden'"),
        (7, TypeError, "layer must be a module or the name of one, got 7"),
        ([], ValueError, "layer must hold at least one module, got an empty list"),
        (nn.Linear(2, 2), ValueError, "layer must be run exactly once by the model, got 0 runs"),
    ],
)
def test_layers_that_are_none_are_named(layer, error, message):
    case = make("bag")
    with pytest.raises(error, match=message):
        LayerIntegratedGradients(case.model, layer).attribute(
            case.inputs, target=1, additional_forward_args=case.arguments
        )


def test_layers_that_run_twice_or_give_structures_are_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.lstm = nn.Linear(3, 3), nn.LSTM(3, 2)

        def forward(self, x):
            return self.lstm(self.inner(self.inner(x)))[0].sum(1)

    net, x = Twice().eval(), torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"layer must be run exactly once .*got 2 runs of Linear"):
        LayerIntegratedGradients(net, "inner").attribute(x)
    with pytest.raises(TypeError, match=r"a flat tuple of tensors, got a tuple .*from LSTM"):
        LayerIntegratedGradients(net, "lstm").attribute(x)


def test_model_is_left_as_found_after_an_error():
    case = make("mlp")
    with pytest.raises(ValueError, match="target must be in"):
        LayerIntegratedGradients(case.model, "0").attribute(case.inputs, target=9)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in case.model.modules())
    assert all(p.requires_grad for p in case.model.parameters())


def test_one_baseline_meets_the_arguments_of_each_row():
    case = make("bag")  # whose words are weighed by an argument with a row for each example
    method = LayerIntegratedGradients(case.model, "hidden")
    options = {"target": 1, "additional_forward_args": case.arguments}
    options["attribute_to_layer_input"] = True
    one = method.attribute(case.inputs, case.baselines[:1], **options)
    assert_same(one, method.attribute(case.inputs, case.baselines, **options), 1e-6)
