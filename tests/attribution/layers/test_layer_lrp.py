"""Relevance of layers: captum's where it has rules, and conserved."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers
from torch import nn

import pyxai
from pyxai.attribution import LRP, LayerLRP

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@pytest.mark.parametrize(
    ("name", "at_input"), [("0", False), ("2", False), ("0", True), ("4", False)]
)
def test_equals_captum(name, at_input):
    case = make("mlp")
    case.model[3] = nn.ReLU()
    given = (case.inputs, 1)
    ours, delta = LayerLRP(case.model, name).attribute(
        *given, return_convergence_delta=True, attribute_to_layer_input=at_input
    )
    theirs, gap = captum.LayerLRP(case.model, case.layer(name)).attribute(
        case.inputs.clone().requires_grad_(),
        1,
        return_convergence_delta=True,
        attribute_to_layer_input=at_input,
    )
    assert_same(ours, theirs)
    assert_same(delta, gap)


@on_layers
def test_relevance_of_a_layer_is_that_of_its_values_as_inputs_of_the_rest(kind, name, at_input):
    if kind == "lstm":
        name, at_input = "after", False
    case = make(kind)
    ours, delta = LayerLRP(case.model, name).attribute(
        case.inputs, 1, case.arguments, True, at_input
    )
    rows = case.inputs if isinstance(case.inputs, tuple) else (case.inputs,)
    more = () if case.arguments is None else (case.arguments,)
    output = case.model(*rows, *more)[:, 1].detach()
    torch.testing.assert_close(output - ours.flatten(1).sum(1), delta, rtol=1e-4, atol=1e-5)


def test_without_biases_every_layer_holds_the_whole_output():
    layers = [nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 5, bias=False), nn.ReLU()]
    torch.manual_seed(0)
    net = nn.Sequential(*layers, nn.Linear(5, 3, bias=False)).eval().double()
    x = torch.randn(4, 4, dtype=torch.float64)
    found, deltas = LayerLRP(net, ["0", "2", "3"]).attribute(x, 1, return_convergence_delta=True)
    for part, delta in zip(found, deltas, strict=True):
        torch.testing.assert_close(part.sum(1), net(x)[:, 1].detach(), rtol=0, atol=1e-6)
        assert delta.abs().max() < 1e-6


def test_at_the_input_of_the_first_layer_it_is_lrp():
    case = make("cnn")
    for rule in ("epsilon", "alpha_beta"):
        ours = LayerLRP(case.model, "0", rule=rule).attribute(
            case.inputs, 1, attribute_to_layer_input=True
        )
        assert_same(ours, LRP(case.model, rule=rule).attribute(case.inputs, 1))


@pytest.mark.parametrize(("method", "options"), [("lrp", {}), ("layer_lrp", {"layer": "0"})])
def test_the_delta_of_an_explanation_is_what_relevance_has_too_much(method, options):
    """As of all methods, where the methods themselves give what is left, as captum's do."""
    case = make("mlp")
    found = pyxai.explain(case.model, case.inputs, method=method, target=1, **options)
    missed = found.attributions.flatten(1).sum(1) - case.model(case.inputs)[:, 1].detach()
    assert missed.abs().max() > 1e-3
    torch.testing.assert_close(found.convergence_delta.to(missed), missed, rtol=0, atol=1e-5)
