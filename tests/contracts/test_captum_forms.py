"""Forms of arguments and outputs that captum takes: every method takes them alike."""

import inspect

import captum.attr
import pytest
import torch
from contract_cases import N_CLASSES, example_of, make_inputs, make_net, make_options
from contract_runs import NAMES, having, run, with_option
from torch import nn

import pyxai
from pyxai import registry
from pyxai.attribution import FeatureAblation, Occlusion
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
    for target in (1, [2, 0, 1, 1], torch.tensor([2, 0, 1, 1]), (1,)):
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
    entry, options = registry.get(name), make_options(example, net)
    first = [each for each in inspect.signature(entry.factory).parameters if each in options]
    method = entry.factory(net, **{each: options.pop(each) for each in first})
    options["target"] = torch.tensor([2, 0, 1, 1])
    if entry.baselines == "distribution":
        options["baselines"] = x * 0.5
    expected = method.attribute(x, **options)
    found = captum.attr.NoiseTunnel(method).attribute(x, stdevs=0.0, nt_samples=2, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


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
