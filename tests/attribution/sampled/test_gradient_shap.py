"""Gradient SHAP: captum in the mean, tolerances, seeds, bounds, errors."""

import gc

import captum.attr
import pytest
import torch
from tanh_nets import mlp, rows

from pyxai import PyxaiWarning, explain
from pyxai.attribution import (
    ExpectedGradients,
    GradientShap,
    KernelShap,
    Lime,
)

FORMS = {
    "gradient_shap": lambda net, *given, **options: GradientShap(net).attribute(
        *given, stdevs=0.1, return_error=True, **options
    ),
    "expected_gradients": lambda net, *given, n_samples=5, **options: ExpectedGradients(
        net
    ).attribute(*given, n_samples=n_samples, return_error=True, **options),
}


@pytest.mark.parametrize("form", FORMS)
def test_tolerance_is_met_row_by_row(form):
    net, x, background = mlp(5), rows(4, 5), rows(20, 5, seed=2) / 4
    x[1] = background.mean(0)  # not far to go
    targets, sizes = [0, 1, 1, 0], []

    def counted(z):
        sizes.append(len(z))
        return net(z)

    def explain(these):
        sizes.clear()
        found = FORMS[form](
            counted,
            x[these],
            background,
            target=targets[these],
            tolerance=0.01,
            example_ids=torch.arange(4)[these],
        )
        return *found, sum(sizes)

    scores, error, cost = explain(slice(0, 4))
    assert (error.amax(1) <= 0.01).all()
    costs = []
    for row in range(4):  # the same draws in the batch and alone
        alone, its_error, its_cost = explain(slice(row, row + 1))
        torch.testing.assert_close(alone, scores[row : row + 1])
        torch.testing.assert_close(its_error, error[row : row + 1])
        costs.append(its_cost)
    assert min(costs) < max(costs) / 2
    assert cost < 0.9 * 4 * max(costs)  # rows that are done are not asked about again
    exact = ExpectedGradients(net).attribute(x, background, target=targets)
    assert ((scores - exact).abs() < 5 * 0.01).all()


@pytest.mark.parametrize("form", FORMS)
def test_rounds_are_one_run_in_parts(form):
    net, x, background = mlp(5), rows(2, 5), rows(20, 5, seed=2)
    given = {"target": 1, "example_ids": [3, 4]}
    with pytest.warns(PyxaiWarning, match="tolerance 1e-06 is not reached for 2 .* max_evals=100"):
        parts = FORMS[form](net, x, background, tolerance=1e-6, max_evals=100, **given)
    whole = FORMS[form](net, x, background, n_samples=100, **given)
    for found, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(found, expected)


def test_tolerance_of_a_model_that_averages_its_batch():
    net, x, background = mlp(5, 1), rows(3, 5), rows(20, 5, seed=2)
    scores, error = GradientShap(lambda z: net(z).mean()).attribute(
        x, background, tolerance=0.02, return_error=True
    )
    single = ExpectedGradients(net).attribute(x, background)
    assert (error <= 0.02).all()
    assert ((scores - single / 3).abs() < 5 * 0.02).all()


def test_agrees_with_captum_in_the_mean():
    net, x, background = mlp(5), rows(2, 5), rows(20, 5, seed=2)
    torch.manual_seed(0)
    ours, error = GradientShap(net).attribute(
        x, background, n_samples=4000, stdevs=0.3, target=1, return_error=True
    )
    theirs = captum.attr.GradientShap(net).attribute(
        x, background, n_samples=4000, stdevs=0.3, target=1
    )
    assert ((ours - theirs).abs() < 4 * 2**0.5 * error).all()


@pytest.mark.parametrize("multiply", [True, False])
def test_delta_of_each_draw(multiply):
    weights = rows(1, 4)[0]
    x, background = rows(3, 4, seed=3), rows(6, 4, seed=4)
    scores, delta = GradientShap(lambda z: z @ weights, multiply).attribute(
        x, background, n_samples=7, stdevs=0.5, return_convergence_delta=True
    )
    assert delta.shape == (21,)
    assert delta.abs().max() < 1e-12  # a linear function is complete in every draw
    if not multiply:
        torch.testing.assert_close(scores, weights.expand(3, 4))
    net = mlp(4)
    _, ragged = GradientShap(net).attribute(
        x, background, n_samples=7, target=[0, 1, 1], return_convergence_delta=True
    )
    alone = GradientShap(net).attribute(
        x[1:2], background, n_samples=7, target=1, return_convergence_delta=True
    )[1]
    torch.testing.assert_close(ragged[7:14], alone)


@pytest.mark.parametrize("stdevs", [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0), (0.3, 0.5)])
def test_delta_of_each_draw_where_some_inputs_have_no_noise(stdevs):
    first, second = rows(1, 4)[0], rows(1, 3, seed=2)[0]

    def linear(x, y):
        return x @ first + y.flatten(1) @ second

    given = rows(2, 4, seed=3), rows(2, 3, seed=5)[:, None]
    background = rows(6, 4, seed=4), rows(6, 3, seed=6)[:, None]
    options = {"n_samples": 5, "stdevs": stdevs}
    scores, delta = GradientShap(linear).attribute(
        given, background, return_convergence_delta=True, **options
    )
    assert delta.shape == (10,)
    assert delta.abs().max() < 1e-12
    assert scores[1].shape == (2, 1, 3)


def test_rows_seeds_bounds_and_names():
    net, x, background = mlp(4), rows(5, 4), rows(6, 4, seed=4)
    explain = lambda z, **options: GradientShap(net).attribute(  # noqa: E731
        z, background, n_samples=6, stdevs=0.1, target=1, **options
    )
    whole = explain(x)
    torch.testing.assert_close(explain(x[3:4]), whole[3:4])
    torch.testing.assert_close(explain(x.flip(0)), whole.flip(0))
    torch.testing.assert_close(explain(x, internal_batch_size=4), whole)
    assert (explain(x, seed=1) - whole).abs().max() > 1e-3
    named = explain(x, example_ids=[5, 6, 7, 8, 9])
    torch.testing.assert_close(explain(x[2:3], example_ids=[7]), named[2:3])


def test_tuples_share_the_row_and_callables_are_called():
    net, x, background = mlp(5), rows(2, 5), rows(6, 5, seed=4)
    joint = lambda a, b: net(torch.cat([a, b], 1))  # noqa: E731
    split = lambda z: (z[:, :2], z[:, 2:])  # noqa: E731
    options = {"n_samples": 8, "target": 0, "example_ids": [1, 2]}
    whole = GradientShap(net).attribute(x, background, **options)
    pair = GradientShap(joint).attribute(split(x), split(background), **options)
    torch.testing.assert_close(torch.cat(pair, 1), whole)
    for function in (lambda: background, lambda inputs: background):
        torch.testing.assert_close(GradientShap(net).attribute(x, function, **options), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_models_run(dtype):
    net, x, background = mlp(5), rows(2, 5, dtype=dtype), rows(4, 5, seed=4, dtype=dtype)
    options = {"n_samples": 30, "stdevs": 0.05, "target": 0, "example_ids": [0, 1]}
    scores, delta = GradientShap(mlp(5, dtype=dtype)).attribute(
        x, background, return_convergence_delta=True, **options
    )
    assert scores.dtype == delta.dtype == torch.float32
    wide = GradientShap(net.to(dtype).double()).attribute(
        x.double(), background.double(), **options
    )
    # gradients of a size of about one, each rounded to the dtype a few times
    assert (scores - wide).abs().max() < 8 * torch.finfo(dtype).eps


def test_passes_stay_within_the_bound():
    sizes = []
    net = mlp(4)

    def watched(z):
        sizes.append(len(z))
        return net(z)

    GradientShap(watched).attribute(
        rows(8, 4), rows(3, 4), n_samples=100, target=0, internal_batch_size=32
    )
    assert max(sizes) <= 32


@pytest.mark.parametrize("cls", [GradientShap, ExpectedGradients, KernelShap, Lime])
def test_calls_in_a_loop_leave_no_tensor_behind(cls):
    net, x, background = mlp(4), rows(2, 4), rows(3, 4)
    gradient = cls in (GradientShap, ExpectedGradients)
    arguments = (x, background) if gradient else (x,)

    def tensors(calls):
        for _ in range(calls):
            cls(net).attribute(*arguments, target=0)
        gc.collect()
        # isinstance would wake lazy objects of other packages
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    assert tensors(2) == tensors(20)


def test_bad_arguments_are_named():
    net, x, background = mlp(4), rows(2, 4), rows(3, 4)
    shap = GradientShap(net)
    with pytest.raises(TypeError, match=r"baselines must be a tensor of rows .*, got None"):
        shap.attribute(x, None, target=0)
    with pytest.raises(TypeError, match=r"baselines must be a tensor of rows .*, got 0"):
        shap.attribute(x, 0, target=0)
    with pytest.raises(ValueError, match=r"baselines must have shape \[\*, 4\], got \[3, 2\]"):
        shap.attribute(x, background[:, :2], target=0)
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        shap.attribute(x, background, n_samples=0, target=0)
    with pytest.raises(ValueError, match="stdevs must be finite and not negative, got -1"):
        shap.attribute(x, background, stdevs=-1.0, target=0)
    with pytest.raises(ValueError, match=r"stdevs must be one number or 1, .* got 2"):
        shap.attribute(x, background, stdevs=(0.1, 0.2), target=0)
    with pytest.raises(ValueError, match="tolerance must be positive and finite, got 0"):
        shap.attribute(x, background, target=0, tolerance=0)
    with pytest.raises(ValueError, match="max_evals must come with a tolerance"):
        shap.attribute(x, background, target=0, max_evals=10)
    with pytest.raises(ValueError, match="return_convergence_delta must be False with a tolerance"):
        shap.attribute(x, background, target=0, tolerance=0.1, return_convergence_delta=True)
    with pytest.raises(TypeError, match="inputs must be floating point"):
        shap.attribute(torch.ones(2, 4, dtype=torch.int64), background, target=0)


def test_explain_with_a_tolerance_has_errors_and_no_delta():
    net, x, background = mlp(4), rows(2, 4), rows(5, 4, seed=1)
    options = {"method": "gradient_shap", "baselines": background, "target": 0}
    assert explain(net, x, **options).convergence_delta is not None
    found = explain(net, x, **options, tolerance=0.5)
    assert found.convergence_delta is None
    assert found.error.shape == x.shape
