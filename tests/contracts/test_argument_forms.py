"""Arguments in lists and dicts do what they do in tuples."""

import pytest
import torch
from contract_cases import example_of

import pyxai
from pyxai import registry
from pyxai._inputs import format_baselines
from pyxai.runner import Runner

CALLABLE = [
    name
    for name in registry.names()
    if registry.get(name).needs == "callable"
    and not example_of(name).image
    and not callable(example_of(name).options.get("layer"))
]


def explain(name, model, inputs, **changes):
    options = {**example_of(name).options, **changes}
    return pyxai.explain(model, inputs, method=name, **options).attributions


def make_table(seed, rows=3):
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)).double()


def product(left, right):
    return (left * right).sum(1) + left.prod(1)


@pytest.mark.parametrize(
    "name", [n for n in CALLABLE if registry.get(n).baselines == "optional" and n != "occlusion"]
)
def test_a_list_is_read_as_a_tuple(name):
    x = (make_table(0), make_table(1))
    starts, masks = [make_table(2), make_table(3, 1)], [torch.arange(4)] * 2
    starts[0][1, 2], x[0][1, 2] = 0.5, 0.5  # this player changes nothing in this row
    changes = {}
    if "feature_mask" in registry.get(name).factory(product).option_names():
        masks[0] = torch.tensor([[0, 0, 1, 1], [0, 1, 2, 3], [4, 4, 4, 0]])
        changes["feature_mask"] = masks
    lists = explain(name, product, x, baselines=starts, **changes)
    tuples = {option: tuple(value) for option, value in changes.items()}
    expected = explain(name, product, x, baselines=tuple(starts), **tuples)
    for part, other in zip(lists, expected, strict=True):
        assert torch.equal(part, other)


def test_noise_reads_lists_of_baselines_and_masks():
    x = (make_table(0), make_table(1))
    options = {
        "attribution_method": "kernel_shap",
        "nt_samples": 2,
        "stdevs": 0.1,
        "baselines": [make_table(2), make_table(3, 1)],
        "feature_mask": [torch.tensor([[0, 0, 1, 1], [0, 1, 2, 3], [2, 2, 2, 0]])] * 2,
    }
    explainer = pyxai.attribution.NoiseTunnel(pyxai.attribution.KernelShap(product))
    options.pop("attribution_method")
    lists = explainer.attribute(x, **options)
    tuples = {o: tuple(v) if isinstance(v, list) else v for o, v in options.items()}
    for part, other in zip(lists, explainer.attribute(x, **tuples), strict=True):
        assert torch.equal(part, other)


def scaled(x, extra):
    return (x * extra["scale"]).prod(1) + (x * extra["more"][0]).sum(1) + extra["shift"]


@pytest.mark.parametrize("name", [n for n in CALLABLE if not registry.get(n).whole_batch])
def test_rows_within_dicts_follow_the_examples(name):
    x = make_table(0, 5)
    x[1, 2] = 0  # so that the Shapley methods take the batch apart
    extra = {"scale": make_table(1, 5), "more": [make_table(2, 5)], "shift": 2.0}
    changes = {}
    if registry.get(name).baselines == "distribution":
        changes["baselines"] = make_table(3)
    together = explain(name, scaled, x, additional_forward_args=extra, **changes)
    for row in range(5):
        one = slice(row, row + 1)
        own = {"scale": extra["scale"][one], "more": [extra["more"][0][one]], "shift": 2.0}
        alone = explain(name, scaled, x[one], additional_forward_args=own, **changes)
        torch.testing.assert_close(alone, together[one], rtol=0, atol=1e-10)


def test_a_runner_repeats_rows_within_dicts():
    x, scale = make_table(0), make_table(1)
    runner = Runner(
        lambda z, extra: (z * extra["scale"]).sum(1), additional_forward_args={"scale": scale}
    )

    def build(examples, repeats):
        return (x[examples].repeat_interleave(repeats.stop - repeats.start, 0),)

    expected = (x * scale).sum(1, keepdim=True).expand(3, 4)
    torch.testing.assert_close(runner.values(build, 3, 4), expected, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:the noise around examples")  # one number has no variance
@pytest.mark.parametrize("name", CALLABLE)
def test_one_number_per_example_is_one_feature(name):
    x = make_table(0)[:, 0]
    changes = {"sliding_window_shapes": (1,)} if name == "occlusion" else {}
    if registry.get(name).baselines == "distribution":
        changes["baselines"] = make_table(3)[:, :1]
    column = explain(name, lambda z: (z**3 + z)[:, 0], x[:, None], **changes)
    if "sliding_window_shapes" in changes:
        changes["sliding_window_shapes"] = ()
    if "baselines" in changes:
        changes["baselines"] = changes["baselines"][:, 0]
    options = {**example_of(name).options, **changes}
    result = pyxai.explain(lambda z: z**3 + z, x, method=name, **options)
    torch.testing.assert_close(result.attributions, column[:, 0], rtol=1e-12, atol=1e-12)
    assert result.top(3) == [("feature 0", pytest.approx(float(column.abs().mean())))]
    assert "feature 0" in str(result)


def test_one_number_per_example_has_metrics_and_imputers():
    x = make_table(0)[:, 0]
    values = pyxai.explain(
        lambda z: z**3,
        x,
        method="kernel_shap",
        imputer=pyxai.imputers.Gaussian(make_table(3)[:, 0]),
        feature_mask=torch.tensor(0),
    )
    assert values.attributions.shape == (3,)
    gap = pyxai.metrics.completeness(lambda z: z**3, x, x**3)
    torch.testing.assert_close(gap, torch.zeros_like(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 4), r"have shape \[1, 4\], got"), ((3, 4), r"have shape \[3, 4\] or \[1, 4\], got")],
)
def test_the_shapes_that_fit_are_named_once(shape, message):
    with pytest.raises(ValueError, match=message):
        format_baselines(torch.zeros(2, 4), (torch.zeros(shape),))
