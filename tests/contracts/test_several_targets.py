"""Several targets in one call: each gets what it gets alone, and rows go through together."""

import re

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, method_of, parts, run, summing, with_option
from torch import nn

import pyxai
from pyxai import PyxaiWarning, registry
from pyxai.runner.state import find_modules

TARGETS = [2, (0,), [0, 1, 2, 0], torch.tensor([1, 1, 0, 2])]
PARTS = ("attributions", "convergence_delta", "error", "outputs")

# These ask the model for outputs only, and for the same ones whatever they are.
ASK_ONCE = [
    name
    for name in NAMES
    if method_of(name, make_net(example_of(name)))[0].takes_targets(example_of(name).options)
]


def assert_each_is_alone(together, alone):
    """Compare all parts of explanations by one call with those by one call for each target."""
    assert isinstance(together, list)
    assert len(together) == len(alone)
    for found, own in zip(together, alone, strict=True):
        for part in PARTS:
            value, expected = getattr(found, part), getattr(own, part)
            assert (value is None) == (expected is None), part
            if value is not None:
                for one, other in zip(parts(value), parts(expected), strict=True):
                    assert_close(one, other)
        assert found.target is own.target
        assert found.method == own.method
        assert found.options.keys() == own.options.keys()
        for name, option in own.options.items():
            same = found.options[name]
            assert same is option or (type(same) is type(option) and same == option), name
        for one, other in zip(parts(found.inputs), parts(own.inputs), strict=True):
            assert torch.equal(one, other)
        assert found.feature_names == own.feature_names


def counted(model):
    """Return a list that gets the number of rows of each call of the model."""
    seen = []
    model.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_each_target_gets_what_it_gets_alone(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    options = (
        {} if name != "noise_tunnel" else {"attribution_method": pyxai.attribution.Saliency(model)}
    )
    alone = [run(name, model, x, target, **options) for target in TARGETS]
    assert_each_is_alone(run(name, model, x, None, targets=TARGETS, **options), alone)


def test_one_target_and_one_example():
    model, x = make_net(example_of("saliency")), make_inputs(example_of("saliency"), 1)
    for name in ("saliency", "feature_ablation", "kernel_shap", "integrated_gradients"):
        alone = [run(name, model, x, target) for target in range(3)]
        assert_each_is_alone(run(name, model, x, None, targets=range(3)), alone)
        assert_each_is_alone(run(name, model, x, None, targets=[1]), alone[1:2])


@pytest.mark.parametrize("name", [*with_option("feature_mask"), *summing()])
def test_groups_of_each_example(name):
    if registry.get(name).whole_batch or name == "functional_information":
        pytest.skip("one mask for all examples")
    model, x = make_net(example_of(name)), make_inputs(example_of(name))
    for mask in (
        torch.tensor([0, 0, 1, 1, 2, 2]),
        torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0], [2, 2, 0, 0, 1, 1], [0] * 6]),
    ):
        alone = [run(name, model, x, target, feature_mask=mask) for target in (0, 2)]
        found = run(name, model, x, None, targets=[0, 2], feature_mask=mask)
        assert_each_is_alone(found, alone)


class Weighted(nn.Module):
    """A net whose inputs are scaled, by a row for each example and by a table of 8 rows for all."""

    def __init__(self):
        super().__init__()
        self.net = make_net(example_of("saliency"))

    def forward(self, x, scale, table):
        assert len(table) == 8
        return self.net(x * scale + table.sum(0))


@pytest.mark.parametrize(
    "name", ["integrated_gradients", "feature_ablation", "lrp", "partition_shap"]
)
def test_further_arguments_follow_their_examples(name):
    """Of two targets there are 8 rows, as many as a table has that belongs to none of them."""
    model, x = Weighted().eval(), make_inputs(example_of("saliency"))
    scale = torch.rand(4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    more = {"additional_forward_args": (scale, torch.full((8, 6), 0.01, dtype=torch.float64))}
    if name == "partition_shap":
        more["hierarchy"] = [[[0, 1], 2], [3, [4, 5]]]
    alone = [pyxai.explain(model, x, method=name, target=target, **more) for target in (0, 1)]
    assert_each_is_alone(pyxai.explain(model, x, method=name, targets=[0, 1], **more), alone)


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift", "feature_ablation"])
def test_baselines_ids_and_names_of_each_example(name):
    model, x = make_net(example_of("deep_lift")), make_inputs(example_of("deep_lift"))
    names = [[f"{row}{column}" for column in range(6)] for row in range(4)]
    for baselines in (x.flip(0), x[0], x[:1]):
        more = {"baselines": baselines, "feature_names": names}
        alone = [run(name, model, x, target, **more) for target in (0, 1)]
        assert_each_is_alone(run(name, model, x, None, targets=[0, 1], **more), alone)
    with pytest.raises(ValueError, match="baselines must"):  # which would fit both together
        run(name, model, x, None, targets=[0, 1], baselines=torch.cat([x, x]))


def test_a_background_as_large_as_the_batch_stays_a_background():
    model, x = make_net(example_of("gradient_shap")), make_inputs(example_of("gradient_shap"))
    ids = [7, 3, 5, 11]
    for name in ("gradient_shap", "expected_gradients", "deep_lift_shap"):
        more = {"baselines": x * 0.5} | ({} if name == "deep_lift_shap" else {"example_ids": ids})
        alone = [run(name, model, x, target, **more) for target in (0, 1)]
        assert_each_is_alone(run(name, model, x, None, targets=[0, 1], **more), alone)
    drawn = {"baselines": lambda: x * 0.5}
    alone = [run("gradient_shap", model, x, target, **drawn) for target in (0, 1)]
    assert_each_is_alone(run("gradient_shap", model, x, None, targets=[0, 1], **drawn), alone)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("kernel_shap", {"n_samples": 14, "tolerance": 0.02}),
        ("shapley_value_sampling", {"n_samples": 2, "tolerance": 0.02}),
        ("gradient_shap", {"stdevs": 0.1, "tolerance": 0.02}),
        ("integrated_gradients", {"n_steps": "auto"}),
        ("integrated_gradients", {"n_steps": 2, "tolerance": 1e-3}),
        ("partition_shap", {"max_evals": 20, "hierarchy": [[[0, 1], 2], [3, [4, 5]]]}),
    ],
)
@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
def test_each_target_has_its_own_end(name, more):
    model, x = make_net(example_of("saliency")), make_inputs(example_of("saliency"))
    alone = [run(name, model, x, target, **more) for target in (0, 1, 2)]
    assert_each_is_alone(run(name, model, x, None, targets=[0, 1, 2], **more), alone)


@pytest.mark.parametrize("name", ASK_ONCE)
def test_methods_of_outputs_ask_the_model_once(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    seen = counted(model)
    run(name, model, x, 0)
    seen.clear()  # what is measured once for each model
    run(name, model, x, 0)
    once = sum(seen)
    run(name, model, x, None, targets=[0, 1, 2])
    assert sum(seen) == 2 * once


# The rows of a path to the next point depend on the target, where it is not a straight line.
OWN_PATHS = ("greedy_pig", "guided_ig")


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_targets_share_go_forward_once(name):
    if name in ("contextual_decomposition", *OWN_PATHS) or registry.get(name).needs == "module":
        pytest.skip("runs its own graph of the model, or a path of its own for each target")
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    seen = counted(model)
    run(name, model, x, 0)
    run(name, model, x, None, targets=[0, 1, 2])
    seen.clear()
    run(name, model, x, 0)
    once = sum(seen)
    seen.clear()
    run(name, model, x, None, targets=[0, 1, 2])
    assert sum(seen) <= once + len(x)


BAD_TARGETS = [
    ([], "targets must hold at least one target, got an empty list"),
    (1, "targets must be a list of targets, got 1"),
    ((0, 1), "targets must be a list of targets, got a tuple of 2"),
    ([0, None], "targets[1] must choose an output, got None"),
    ([0, -1], "targets[1] must be at least 0, got -1"),
    ([0, "cat"], "targets[1] must be an integer"),
    ([0, [0, 1]], "targets[1] must have one entry per example, 4, got 2"),
]


@pytest.mark.parametrize("name", NAMES)
def test_bad_targets_are_refused_before_the_model_runs(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    seen = counted(model)
    for targets, message in BAD_TARGETS:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            run(name, model, x, None, targets=targets)
    with pytest.raises(ValueError, match="target must be None where targets are given, got 0"):
        run(name, model, x, 0, targets=[0, 1])
    assert not seen


@pytest.mark.parametrize("name", NAMES)
def test_an_output_that_is_not_there_is_refused_at_once(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    seen = counted(model)
    for number, targets in ((1, [0, 3]), (0, [3, 0]), (1, [0, (0, 1)])):
        with pytest.raises(ValueError, match=rf"targets\[{number}\] must "):
            run(name, model, x, None, targets=targets)
    assert sum(seen) <= 2 + 3 * len(x)  # two rows tell, once, whether they mix


class FailsLater(nn.Module):
    """A net that fails on some call."""

    def __init__(self, net, after):
        super().__init__()
        self.net, self.left = net, after

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise ArithmeticError("stopped")
        return self.net(x)


@pytest.mark.parametrize(
    "name", ["saliency", "integrated_gradients", "feature_ablation", "kernel_shap"]
)
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_the_model_is_left_as_found_where_it_fails(name, after):
    example = example_of(name)
    model, x = FailsLater(make_net(example), after).eval(), make_inputs(example)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(ArithmeticError):
        run(name, model, x, None, targets=[0, 1])
    for module in find_modules(model):
        assert not module._forward_hooks
        assert not module._backward_hooks
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])
    assert all(each.requires_grad and each.grad is None for each in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    model.left = 10**9
    alone = [run(name, model, x, target) for target in (0, 1)]
    assert_each_is_alone(run(name, model, x, None, targets=[0, 1]), alone)


class MixesRows(nn.Module):
    """A net that takes means over its batch."""

    def __init__(self):
        super().__init__()
        self.net = make_net(example_of("saliency"))

    def forward(self, x):
        return self.net(x - x.mean(0))


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "kernel_shap"])
def test_models_that_mix_their_rows(name):
    model, x = MixesRows().eval(), make_inputs(example_of("saliency")) + 1
    with pytest.warns(PyxaiWarning, match="one at a time"):
        alone = [run(name, model, x, target) for target in (0, 1)]
    with pytest.warns(PyxaiWarning, match="one at a time"):
        found = run(name, model, x, None, targets=[0, 1])
    assert_each_is_alone(found, alone)


@pytest.mark.parametrize("name", ["saliency", "feature_ablation", "shapley_values"])
def test_models_with_an_output_for_each_node_of_one_example(name):
    """Several targets of one example mean a sum, in a list of targets too."""

    def model(x):
        return x[0].view(3, 2) * torch.tensor([1.0, 2.0], dtype=torch.float64)

    x = make_inputs(example_of("saliency"), 1)
    targets = [[0, 1, 0], [1, 1, 1]]
    alone = [run(name, model, x, target) for target in targets]
    assert_each_is_alone(run(name, model, x, None, targets=targets), alone)


def test_several_inputs_and_outputs_of_several_dimensions():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, n, generator=generator, dtype=torch.float64) for n in (2, 4))

    def model(x, y):
        joined = torch.cat([x, y], 1)
        return torch.tanh(joined.unsqueeze(2) * joined.unsqueeze(1)).cumsum(1)

    targets = [(0, 1), (5, 2), [(1, 1), (2, 3), (0, 0)]]
    for name in ("saliency", "integrated_gradients", "feature_ablation", "lime"):
        more = {"n_samples": 40} if name == "lime" else {}
        alone = [run(name, model, (x, y), target, **more) for target in targets]
        assert_each_is_alone(run(name, model, (x, y), None, targets=targets, **more), alone)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "occlusion", "lrp"])
def test_callers_without_gradients(name, mode):
    model, x = make_net(example_of(name)), make_inputs(example_of(name))
    alone = [run(name, model, x, target) for target in (0, 1)]
    with mode():
        found = run(name, model, x, None, targets=[0, 1])
    assert_each_is_alone(found, alone)


def test_layers_are_explained_for_each_target_and_neurons_have_none():
    model, x = make_net(example_of("saliency")), make_inputs(example_of("saliency"))
    for name in ("layer_integrated_gradients", "layer_conductance", "layer_lrp"):
        alone = [
            pyxai.explain(model, x, method=name, layer="0", target=target) for target in (0, 1)
        ]
        found = pyxai.explain(model, x, method=name, layer="0", targets=[0, 1])
        assert_each_is_alone(found, alone)
    with pytest.raises(TypeError, match="targets must be None for neuron_gradient, which takes"):
        pyxai.explain(model, x, method="neuron_gradient", layer="0", neuron_selector=0, targets=[0])
