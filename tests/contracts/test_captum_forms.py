"""Forms of arguments and outputs that captum takes: every method takes them alike."""

import functools
import inspect

import captum.attr
import pytest
import torch
from contract_cases import N_CLASSES, example_of, make_inputs, make_net, make_options
from contract_runs import NAMES, having, run, with_option
from torch import nn

import pyxai
from pyxai import registry
from pyxai.attribution import FeatureAblation, FeaturePermutation, Occlusion
from pyxai.methods.base import PerturbationAttribution

CALLABLE = [
    name
    for name in NAMES
    if registry.get(name).needs == "callable"
    and not example_of(name).image
    and not callable(example_of(name).options.get("layer"))
]
MASKED = [name for name in with_option("feature_mask") if name in CALLABLE]
OPTIONAL = having(lambda method: method.baselines == "optional")
INTEGERS = [  # methods that take whole numbers
    name
    for name in CALLABLE
    if isinstance(registry.get(name).factory(torch.sum), PerturbationAttribution)
]
STARTED = [n for n in CALLABLE if registry.get(n).baselines in ("optional", "distribution")]


def table(seed=0, *sizes):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed)).double()


def explain(name, model, x, **changes):
    options = {**example_of(name).options, **changes}
    if registry.get(name).baselines == "distribution" and "baselines" not in changes:
        options["baselines"] = table(9, 3, *x.shape[1:])
    if name == "occlusion":
        options["sliding_window_shapes"] = (1,) * (x.dim() - 1)
    return pyxai.explain(model, x, method=name, **options).attributions


def made(name, model):
    """Return the method for a model, and the options that the table has for its `attribute`."""
    options, factory = make_options(example_of(name), model), registry.get(name).factory
    first = [each for each in inspect.signature(factory).parameters if each in options]
    return factory(model, **{each: options.pop(each) for each in first}), options


def mixed(x):
    return x.flatten(1).pow(3).sum(1) + x.flatten(1)[:, 0] * x.flatten(1)[:, 1]


MASKS = {
    "lower rank": (torch.tensor([0, 1, 1]), torch.tensor([[[0, 1, 1]]])),
    "of one": (torch.tensor([0]), torch.tensor([[[0]]])),
    "number": (torch.tensor(0), torch.tensor([[[0]]])),
    "float": (torch.tensor([[[0.0, 1.0, 4.0]]]), torch.tensor([[[0, 1, 4]]])),
    "bool": (torch.tensor([[[False], [True]]]), torch.tensor([[[0], [1]]])),
}


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("form", MASKS)
def test_masks_of_lower_rank_and_other_dtypes(name, form):
    x, (given, plain) = table(0, 2, 2, 3), MASKS[form]
    expected = explain(name, mixed, x, feature_mask=plain.expand(1, 2, 3))
    assert torch.equal(explain(name, mixed, x, feature_mask=given), expected)


BASELINES = {
    "of rows": (table(1, 2, 1, 1), (2, 2, 3)),
    "of channels": (table(1, 2, 1), (1, 2, 3)),
    "of the last": (table(1, 3), (1, 2, 3)),
    "of one": (table(1, 1), (1, 2, 3)),
}


@pytest.mark.parametrize("name", STARTED)
@pytest.mark.parametrize("form", BASELINES)
def test_baselines_that_broadcast(name, form):
    x, (given, shape) = table(0, 2, 2, 3), BASELINES[form]
    if registry.get(name).baselines == "distribution":
        given, shape = table(1, 5, 1, 1), (5, 2, 3)
    expected = explain(name, mixed, x, baselines=given.expand(shape).contiguous())
    assert torch.equal(explain(name, mixed, x, baselines=given), expected)


def test_baselines_of_rows():
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    found = FeatureAblation(lambda z: z.sum(1)).attribute(x, baselines=torch.tensor([[1.0], [2]]))
    assert found.tolist() == [[0, 1, 2], [2, 3, 4]]


@pytest.mark.parametrize("name", [n for n in OPTIONAL if n in INTEGERS])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8, torch.bool])
def test_float_baselines_of_integers_where_they_are_whole(name, dtype):
    x = torch.tensor([[1, 0, 1], [0, 1, 1]]).to(dtype)

    def model(z):
        return z.double().pow(3).sum(1)

    expected = explain(name, model, x, baselines=torch.ones(3, dtype=dtype))
    for baselines in (1.0, torch.ones(3), torch.tensor(1.0), torch.ones(1, 3).double()):
        assert torch.equal(explain(name, model, x, baselines=baselines), expected)


@pytest.mark.parametrize("name", OPTIONAL)
def test_baselines_of_rows_for_every_method(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    given = table(1, 4, *[1] * (x.dim() - 1))
    expected = run(name, model, x, baselines=given.expand_as(x).contiguous()).attributions
    assert torch.equal(run(name, model, x, baselines=given).attributions, expected)


@pytest.mark.parametrize("name", NAMES)
def test_last_dimensions_of_one_need_no_index(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    tailed = nn.Sequential(*net, nn.Unflatten(1, (N_CLASSES, 1, 1)))
    for target in (1, [2, 0, 1, 1], torch.tensor([2, 0, 1, 1]), (1,), torch.tensor(1)):
        expected = run(name, net, x, target=target).attributions
        found = run(name, tailed, x, target=target).attributions
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


# Not those whose result at a row depends on the other rows or draws, which noise multiplies.
@pytest.mark.parametrize(
    "name",
    [n for n in having(lambda m: not m.whole_batch) if n not in ("noise_tunnel", "gradient_shap")],
)
def test_noise_of_captum_around_our_methods(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    method, options = made(name, net)
    options["target"] = torch.tensor([2, 0, 1, 1])
    if registry.get(name).baselines == "distribution":
        options["baselines"] = x * 0.5
    expected = method.attribute(x, **options)
    found = captum.attr.NoiseTunnel(method).attribute(x, stdevs=0.0, nt_samples=2, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


AGGREGATES = ["feature_ablation", "occlusion", "shapley_value_sampling", "shapley_values"]
AGGREGATES += ["kernel_shap"]


def method_of(name, model):
    options = {"sliding_window_shapes": (1,)} if name == "occlusion" else {}
    return functools.partial(registry.get(name).factory(model).attribute, **options)


@pytest.mark.parametrize("name", AGGREGATES)
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("features", [2, 3])
def test_outputs_that_aggregate_over_the_batch(name, rows, features):
    # With as many outputs as rows too, and with features that some rows lack.
    x = torch.arange(1.0, 1 + rows * features).view(rows, features)
    if rows == 3:
        x[0, 1], x[2, 0] = 0, 0
    expected = torch.diag(2 * x.sum(0))

    def close(found, expected):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, check_dtype=False)

    close(method_of(name, lambda t: (t * 2).sum(0))(x), expected)
    kept = method_of(name, lambda t: (t * 2).sum(0, keepdim=True))
    close(kept(x).view(features, features), expected)
    close(kept(x, target=1), expected[1:2])
    close(method_of(name, lambda t: (t * 2).sum())(x), expected.sum(0, keepdim=True))


@pytest.mark.parametrize(
    "name", [*(n for n in AGGREGATES if n != "occlusion"), "lime", "feature_permutation"]
)
@pytest.mark.parametrize("columns", [slice(0, 1), slice(0, 2), slice(0, 3)])
def test_outputs_of_all_examples_have_one_mask(name, columns):
    x, mask = table(0, 2, 3), torch.tensor([[0, 1, 2], [0, 0, 1]])
    with pytest.raises(
        ValueError, match=r"feature_mask must be the same for all examples, .* 2 row"
    ):
        method_of(name, lambda t: t[0, columns][None])(x, feature_mask=mask)
    if columns.stop > 1:
        with pytest.raises(ValueError, match="feature_mask must be the same for all examples"):
            method_of(name, lambda t: t.sum(0)[columns])(x, feature_mask=mask)


def test_permutations_of_outputs_that_aggregate_and_of_all_outputs():
    x, weights = table(0, 3, 4), table(1, 4, 2)
    permuted = FeaturePermutation(lambda t: (t @ weights) ** 3)
    parts = [permuted.attribute(x, target=target) for target in (0, 1)]
    found = permuted.attribute(x, perturbations_per_eval=2)
    torch.testing.assert_close(found.view(3, 2, 4), torch.stack(parts, 1), rtol=0, atol=1e-12)
    sums = FeaturePermutation(lambda t: (t**3 @ table(2, 4, 3)).sum(0)).attribute(x)
    assert sums.shape == (3, 4)
    assert sums.abs().max() < 1e-12  # no sum changes when its terms change places
    squares = FeaturePermutation(lambda t: (t @ weights).square().sum(0)).attribute(x)
    each = FeaturePermutation(lambda t: (t @ weights).square().sum(0)[1]).attribute(x)
    torch.testing.assert_close(squares[1:], each, rtol=0, atol=1e-12)


def test_bounds_and_integers_of_outputs_that_aggregate():
    # captum refuses the first, and gives integers for the second.
    t = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    found = FeatureAblation(lambda t: t.sum(0)).attribute(t, perturbations_per_eval=2)
    assert found.tolist() == torch.diag(t.sum(0)).tolist()
    found = FeatureAblation(lambda t: int(t.sum())).attribute(t)
    assert (found.tolist(), found.is_floating_point()) == ([[5, 7, 9]], True)
    found = FeatureAblation(lambda t: t.sum(1)).attribute(t.long())
    assert (found.tolist(), found.is_floating_point()) == (t.tolist(), True)


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_example_of_outputs_that_aggregate(name):
    t = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    found = method_of(name, lambda t: (t * 2).sum(0))(t)
    expected = torch.diag(torch.tensor([10.0, 14.0, 18.0]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, check_dtype=False)
    # Binary features: the first output of two rows is that of the first row beside itself.
    t = torch.tensor([[1.0, 0, 1], [1, 1, 0]])
    found = method_of(name, lambda t: (t[:, :2] * 2).sum(0))(t)
    expected = torch.tensor([[4.0, 0, 0], [0, 2, 0]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, check_dtype=False)


@pytest.mark.parametrize("name", AGGREGATES)
def test_one_example_without_its_dimension_is_not_taken_for_an_aggregate(name):
    net = nn.Sequential(nn.Flatten(-2), nn.Linear(6, 3))
    with pytest.raises(ValueError, match="model must return one row for each of 2") as caught:
        method_of(name, net)(torch.ones(2, 3))
    assert any("inputs.unsqueeze(0)" in note for note in caught.value.__notes__)


class FirstGraph(nn.Module):
    """Outputs for the nodes of the one graph that it is given."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(table(3, 3, 2))

    def forward(self, t):
        return torch.relu(t[0]) @ self.weights


# Those that trace the model, or that play a game of all of its outputs.
ONE_TARGET = ["contextual_decomposition", "deep_lift", "deep_lift_shap", "deep_taylor", "lrp"]
SUMMED = [
    name
    for name in having(lambda method: not method.whole_batch)
    if name not in ONE_TARGET and not example_of(name).image
]


@pytest.mark.parametrize("name", ONE_TARGET)
def test_methods_that_sum_no_outputs_say_so(name):
    options = {"baselines": table(1, 4, 4, 3)} if name == "deep_lift_shap" else {}
    method = registry.get(name).factory(FirstGraph().eval())
    with pytest.raises(ValueError, match="target must have one entry per example, 1, got 4"):
        method.attribute(table(0, 1, 4, 3), target=[0, 1, 1, 0], **options)


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("form", [torch.tensor, list])
def test_several_outputs_of_one_example_are_summed(name, form):
    model, x, target = FirstGraph().eval(), table(0, 1, 4, 3), [0, 1, 1, 0]
    method, options = made(name, model)
    if registry.get(name).baselines == "distribution":
        options["baselines"] = table(1, 4, 4, 3)
    if name == "noise_tunnel":  # as many copies as outputs
        options |= {"nt_samples": 4, "stdevs": 0.1}
    if name == "occlusion":
        options["sliding_window_shapes"] = (1, 1)
    chosen = torch.nn.functional.one_hot(torch.tensor(target)).double()

    class Summed(FirstGraph):
        def forward(self, t):
            return (torch.relu(t) @ self.weights * chosen).sum((1, 2))

    found = method.attribute(x, target=form(target), **options)
    expected = made(name, Summed().eval())[0].attribute(x, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_example_of_outputs_that_are_summed():
    w, t, target = table(0, 3, 2), table(1, 1, 4, 3), torch.tensor([0, 1, 1, 0])
    expected = w[:, target].T[None]
    for name in ("saliency", "input_x_gradient", "integrated_gradients", "shapley_values"):
        found = registry.get(name).factory(lambda t: t[0] @ w).attribute(t, target=target)
        by_hand = expected.abs() if name == "saliency" else expected * t
        torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="target must have one entry per example, 1, or one per"):
        FeatureAblation(lambda t: t[0] @ w).attribute(t, target=[0, 1])


class WithEmpty(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, table, empty):
        return self.net(torch.cat([table, empty], 1))


@pytest.mark.parametrize(
    "name",
    [
        n for n in NAMES if n != "functional_information" and not example_of(n).image
    ],  # of one tensor
)
def test_inputs_without_features(name):
    example = example_of(name)
    net, x, empty = make_net(example), make_inputs(example), torch.zeros(4, 0).double()
    method, options = made(name, net)
    both = {"sliding_window_shapes": ((2,), (1,))} if name == "occlusion" else {}
    starts = {}
    if registry.get(name).baselines == "distribution":
        starts = {"baselines": x * 0.5}
        both["baselines"] = (x * 0.5, empty)
    expected = method.attribute(x, target=1, **options, **starts)
    found = made(name, WithEmpty(net).eval())[0].attribute(
        (x, empty), target=1, **{**options, **both}
    )
    assert found[1].shape == (4, 0)
    if not registry.get(name).stochastic:  # draws know an example by its content
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)
    alone, _ = made(name, net)
    if starts:
        options["baselines"] = empty
    assert alone.attribute(empty, target=1, **options).shape == (4, 0)
    (found,) = alone.attribute((empty.float(),), target=1, **options)
    assert (found.shape, found.dtype) == ((4, 0), torch.float32)


@pytest.mark.parametrize("name", INTEGERS)
def test_futures_of_models_that_return_them(name):
    x = table(0, 3, 4)

    def later(rows):
        future = torch.futures.Future()
        future.set_result(mixed(rows))
        return future

    _, options = made(name, mixed)
    if registry.get(name).baselines == "distribution":
        options["baselines"] = table(1, 3, 4)
    future = made(name, later)[0].attribute_future(x, **options)
    assert isinstance(future, torch.futures.Future)
    assert torch.equal(future.wait(), made(name, mixed)[0].attribute(x, **options))
    with pytest.raises(TypeError, match="forward_func must return a future for attribute_future"):
        made(name, mixed)[0].attribute_future(x, **options)


def test_windows_in_a_tuple_or_not():
    x = table(0, 2, 2, 3, 3)
    whole = {"sliding_window_shapes": (1, 2, 2), "strides": (1, 1, 2)}
    tuples = {name: (each,) for name, each in whole.items()}
    expected = Occlusion(mixed).attribute(x, **whole)
    assert torch.equal(Occlusion(mixed).attribute(x, **tuples), expected)
    for options in (whole, tuples):
        (found,) = Occlusion(mixed).attribute((x,), **options)
        assert torch.equal(found, expected)
    short = table(0, 2, 3)
    expected = Occlusion(mixed).attribute(short, (2,))
    assert torch.equal(Occlusion(mixed).attribute(short, ((2,),)), expected)
    assert torch.equal(Occlusion(mixed).attribute((short,), (2,))[0], expected)
