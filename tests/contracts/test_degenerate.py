"""Inputs and models with nothing in them: every method answers 0, or names what is missing."""

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net
from contract_runs import NAMES, assert_close, having, parts, run
from torch import nn

import pyxai
from pyxai import registry

# Scores in output units where the default is a rank, which is never 0.
UNITS = {"greedy_pig": {"scores": "raw"}}
NO_ORDER = pytest.mark.filterwarnings("ignore:no feature changes the output")
NO_NOISE = pytest.mark.filterwarnings("ignore:the noise around examples")


def silent(model, biases):
    """Set the weights of a net to 0, and its biases too unless they stay."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 or not biases:
                parameter.zero_()
    return model


@NO_ORDER
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_net_of_zero_weights_gives_zero(name, biases):
    example = example_of(name)
    model, x = silent(make_net(example), biases), make_inputs(example)
    result = run(name, model, x, **UNITS.get(name, {}))
    for values in parts(result.attributions):
        assert torch.equal(values, torch.zeros_like(values))
    if result.convergence_delta is not None and registry.get(name).complete:
        assert (result.convergence_delta.abs() <= 1e-12).all()


@NO_ORDER
@pytest.mark.parametrize("name", having(lambda method: method.baselines == "optional"))
def test_an_input_at_the_baseline_gives_zero(name):
    example = example_of(name)
    x = torch.zeros_like(make_inputs(example))
    result = run(name, make_net(example), x, **UNITS.get(name, {}))
    assert torch.equal(result.attributions, x)
    if result.convergence_delta is not None and registry.get(name).complete:
        assert (result.convergence_delta.abs() <= 1e-12).all()


@NO_NOISE
@NO_ORDER
@pytest.mark.parametrize("name", NAMES)
def test_an_input_of_zeros_gives_finite_numbers(name):
    example = example_of(name)
    model, x = make_net(example), torch.zeros_like(make_inputs(example))
    for values in parts(run(name, model, x, **UNITS.get(name, {})).attributions):
        assert torch.isfinite(values).all()


class Masked(nn.Module):
    """Leave the last class out of the probabilities."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        scores = self.net(x)
        last = torch.arange(scores.shape[1]) == scores.shape[1] - 1
        return scores.masked_fill(last, -torch.inf).softmax(1)


@NO_NOISE
@NO_ORDER
@pytest.mark.filterwarnings("ignore:.*has no ReLU|.*the model has none")
@pytest.mark.parametrize("name", NAMES)
def test_minus_infinity_inside_gives_finite_numbers(name):
    """Scores of classes that are masked."""
    example = example_of(name)
    model, x = Masked(make_net(example)), make_inputs(example)
    for values in parts(run(name, model, x, **UNITS.get(name, {})).attributions):
        assert torch.isfinite(values).all()
        assert values.any()


class Unread(nn.Module):
    """Leave the second input alone."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, y):
        return self.net(x)


# What takes one tensor says so.
ONE_TENSOR = {
    "blur_ig": (ValueError, "inputs must be images of shape .*, got"),
    "functional_information": (NotImplementedError, "inputs must be one tensor for .*, got 2"),
    "partition_shap": (
        ValueError,
        "inputs must be images of shape .*, got .* and .*, where no hie",
    ),
    "xrai": (ValueError, "inputs must be images of shape .*, got"),
}
OF_LAYERS = {"grad_cam", "layer_grad_cam"}  # whose map is that of no input
# Draws and budgets are over the features of all inputs.
SHARED_BUDGET = {"guided_ig", "lime", "noise_tunnel", "shapley_value_sampling", "gradient_shap"}
SHARED_BUDGET |= {"kernel_shap", "greedy_pig"}


def of_two_inputs(name):
    example = example_of(name)
    x, changes = make_inputs(example), dict(UNITS.get(name, {}))
    if registry.get(name).baselines == "distribution":
        rows = make_background(example)
        changes["baselines"] = (rows, rows)
    if name == "kernel_shap":  # so few samples for twice the players leave the error unknown
        changes["return_error"] = False
    if name == "occlusion":
        changes["sliding_window_shapes"] = ((2,), (2,))
    inputs = (x, make_inputs(example, seed=5))
    return run(name, Unread(make_net(example)).eval(), inputs, **changes)


@pytest.mark.parametrize("name", sorted({*NAMES} - {*ONE_TENSOR} - OF_LAYERS))
def test_an_input_that_the_output_ignores_gets_zero(name):
    example = example_of(name)
    read, unread = of_two_inputs(name).attributions
    rounding = 1e-14 if name in ("kernel_shap", "shapley_values") else 0.0  # sums over coalitions
    assert (unread.abs() <= rounding).all()
    assert (read.abs() > 1e-6).any()
    if name not in SHARED_BUDGET:
        x = make_inputs(example)
        single = run(name, make_net(example), x, **UNITS.get(name, {})).attributions
        assert_close(read, single)


@pytest.mark.parametrize("name", sorted(OF_LAYERS))
def test_the_map_of_a_layer_stands_beside_an_input_that_the_output_ignores(name):
    example = example_of(name)
    single = run(name, make_net(example), make_inputs(example), **UNITS.get(name, {}))
    assert_close(of_two_inputs(name).attributions, single.attributions)
    assert single.attributions.any()


@pytest.mark.parametrize("name", ONE_TENSOR)
def test_several_inputs_are_refused_by_what_takes_one(name):
    error, message = ONE_TENSOR[name]
    with pytest.raises(error, match=message):
        of_two_inputs(name)


class Scaled(nn.Module):
    """Multiply the outputs by a further argument."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, factor):
        return self.net(x) * factor


@pytest.mark.parametrize("name", NAMES)
def test_further_arguments_without_a_dimension_are_numbers(name):
    example = example_of(name)
    model, x = Scaled(make_net(example)).eval(), make_inputs(example)
    number = run(name, model, x, additional_forward_args=(2.0,)).attributions
    for factor in (torch.tensor(2.0, dtype=torch.float64), torch.tensor(2)):
        for form in (factor, (factor,)):
            assert_close(run(name, model, x, additional_forward_args=form).attributions, number)
    other = run(name, model, x, additional_forward_args=-1.0, **UNITS.get(name, {})).attributions
    units = run(name, model, x, additional_forward_args=2.0, **UNITS.get(name, {})).attributions
    assert not torch.allclose(other, units)


@pytest.mark.parametrize("name", NAMES)
def test_one_example_gives_one_row_of_finite_numbers(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 1)
    if registry.get(name).whole_batch:
        with pytest.warns(pyxai.PyxaiWarning, match="inputs have one example, so that"):
            assert not run(name, model, x).attributions.any()
        return
    for values in parts(run(name, model, x, torch.tensor([1])).attributions):
        assert values.shape[0] == 1
        assert torch.isfinite(values).all()


@NO_NOISE
@pytest.mark.parametrize("name", [name for name in NAMES if not example_of(name).image])
def test_one_feature_gets_the_whole_difference(name):
    """Of one feature that the net reads, every complete method says the same."""
    example = example_of(name)
    model = nn.Sequential(nn.Linear(1, 5), example.activation(), nn.Linear(5, 2)).double().eval()
    x = torch.tensor([[0.5], [-1.0], [2.0]], dtype=torch.float64)
    changes = {"sliding_window_shapes": (1,)} if name == "occlusion" else {}
    if registry.get(name).baselines == "distribution":
        changes["baselines"] = torch.zeros(1, 1, dtype=torch.float64)
    result = run(name, model, x, 1, **changes)
    assert result.attributions.shape == x.shape
    assert torch.isfinite(result.attributions).all()
    if registry.get(name).complete:
        whole = (model(x) - model(torch.zeros_like(x)))[:, 1:].detach()
        assert_close(result.attributions, whole, max(example.delta, 1e-9))
