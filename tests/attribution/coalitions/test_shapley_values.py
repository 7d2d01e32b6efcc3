"""Exact Shapley values against closed forms and captum, and what the other ways to them share."""

import captum.attr
import pytest
import torch
from closed_forms import CASES
from tanh_nets import rows
from tanh_nets import steep_mlp as mlp

from pyxai.attribution import KernelShap, Lime, ShapleyValues, ShapleyValueSampling
from pyxai.imputers import Gaussian, Marginal


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_closed_forms(case):
    expected = case.expected("shapley_value")
    scores = ShapleyValues(case.net()).attribute(case.inputs())
    torch.testing.assert_close(scores, expected, atol=1e-9, rtol=1e-9)
    narrow = ShapleyValues(case.net(torch.float32)).attribute(case.inputs(torch.float32))
    torch.testing.assert_close(narrow.double(), expected, atol=1e-5, rtol=1e-5)


def test_equals_captum_on_a_net_with_a_mask():
    net, x = mlp(6, 2), rows(2, 6)
    mask = torch.tensor([[0, 1, 1, 2, 3, 3]])
    options = {"baselines": rows(1, 6, seed=5), "target": [0, 1], "feature_mask": mask}
    ours = ShapleyValues(net).attribute(x, **options)
    theirs = captum.attr.ShapleyValues(net).attribute(x, **options)
    torch.testing.assert_close(ours, theirs.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [ShapleyValues, ShapleyValueSampling])
def test_forms_of_the_result(method):
    net, x = mlp(4, 3), rows(2, 4)
    together = method(net).attribute(x)
    assert together.shape == (2, 3, 4)
    assert together.shape == captum.attr.ShapleyValueSampling(net).attribute(x).shape
    single = mlp(4)
    assert method(single).attribute(x).shape == (2, 4)
    assert captum.attr.ShapleyValueSampling(single).attribute(x).shape == (2, 1, 4)
    for target in range(3):
        torch.testing.assert_close(together[:, target], method(net).attribute(x, target=target))
    pair = method(lambda a, b: net(torch.cat([a, b], 1))).attribute((x[:, :1], x[:, 1:]), target=1)
    torch.testing.assert_close(torch.cat(pair, 1), together[:, 1])
    batch = method(lambda z: net(z)[:, 0].sum()).attribute(x)
    torch.testing.assert_close(batch, together[:, 0].sum(0, keepdim=True))
    scores, delta = method(net).attribute(x, target=0, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    gain = (net(x) - net(torch.zeros_like(x)))[:, 0].detach()
    torch.testing.assert_close(scores.sum(1), gain)


@pytest.mark.parametrize("method", [ShapleyValues, ShapleyValueSampling])
@pytest.mark.parametrize("make", [Marginal, lambda data: Gaussian(data, n_draws=4)])
def test_imputers_add_up_to_their_game(method, make):
    net, x, background = mlp(4), rows(3, 4), rows(30, 4, seed=9)
    options = {"imputer": make(background), "return_convergence_delta": True}
    scores, delta = method(net).attribute(x, **options)
    assert delta.abs().max() < 1e-12
    torch.testing.assert_close(method(net).attribute(x[1:2], **options)[0], scores[1:2])
    if make is Marginal:
        gain = net(x)[:, 0] - net(background).mean()
        torch.testing.assert_close(scores.sum(1), gain.detach())


def test_one_player_gets_everything():
    net, x = mlp(3), rows(2, 3)
    mask = torch.zeros(1, 3, dtype=torch.int64)
    gain = (net(x) - net(torch.zeros_like(x))).detach().expand(2, 3)
    for method in (ShapleyValues, ShapleyValueSampling):
        torch.testing.assert_close(method(net).attribute(x, feature_mask=mask), gain)


@pytest.mark.parametrize("method", [ShapleyValues, ShapleyValueSampling, KernelShap])
def test_players_at_the_baseline_cost_nothing_and_get_nothing(method):
    """40 features of which each row has another few: fewer players than the exact limit."""
    net = mlp(40, 2)
    x = torch.zeros(4, 40, dtype=torch.float64)
    for row, members in enumerate(([1, 5, 30], [0, 2, 4, 8, 16], [], [5, 1, 30])):
        x[row, members] = rows(1, len(members), seed=row)[0] if members else 0.0
    calls = []
    options = {"n_samples": 32} if method is KernelShap else {}

    def counting(z):
        calls.append(len(z))
        return net(z)

    scores, delta = method(counting).attribute(x, **options, return_convergence_delta=True)
    assert scores.shape == (4, 2, 40)
    assert ((scores != 0).any(1) == (x != 0)).all()
    assert delta.abs().max() < 1e-12
    assert sum(calls) < 4 * 160
    for row in range(4):
        alone = method(net).attribute(x[row : row + 1], target=1, **options)
        torch.testing.assert_close(alone, scores[row : row + 1, 1])
        few = x[row].nonzero()[:, 0]
        if len(few) > 1:
            part = lambda z, few=few: net(torch.zeros(len(z), 40).double().index_copy(1, few, z))  # noqa: E731
            exact = ShapleyValues(part).attribute(x[row : row + 1, few])
            if method is not ShapleyValueSampling:  # the others ask for all coalitions here
                torch.testing.assert_close(scores[row, :, few], exact[0])
    batch = method(lambda z: net(z)[:, 0].sum()).attribute(x, **options)
    assert batch.shape == (1, 40)
    assert ((batch != 0)[0] == (x != 0).any(0)).all()


def test_too_many_players_name_the_cost_and_the_samplers():
    with pytest.raises(
        ValueError, match=r"at most 20 players .* got 24, which take 16,777,216 eval"
    ):
        ShapleyValues(mlp(24)).attribute(rows(1, 24))
    with pytest.raises(ValueError, match=r"2\^60 evaluations.*KernelShap or ShapleyValueSampling"):
        ShapleyValues(mlp(60)).attribute(rows(1, 60))


def test_models_are_asked_only_what_is_needed():
    calls = []
    net = mlp(5)

    def counting(z):
        calls.append(len(z))
        return net(z)

    ShapleyValueSampling(counting).attribute(rows(1, 5), n_samples=10)
    assert sum(calls) <= 10 * 4 + 2 + 12  # the memory of the model is measured on a few rows
    calls.clear()
    ShapleyValues(counting).attribute(rows(1, 5))
    assert sum(calls) <= 32 + 6


@pytest.mark.parametrize("method", [ShapleyValues, ShapleyValueSampling, KernelShap, Lime])
def test_all_outputs_cost_as_much_as_one(method):
    calls, net, x = [], mlp(5, 4), rows(3, 5)

    def counting(z):
        calls.append(len(z))
        return net(z)

    def cost(**options):
        calls.clear()
        found = method(counting).attribute(x, **options)
        return found, sum(calls)

    one, single = cost(target=2)
    several, together = cost()
    chosen = method(lambda z: net(z)[:, [2, 0]]).attribute(x)
    assert together <= single  # the first call measures the memory on a few rows besides
    assert several.shape == (3, 4, 5)
    torch.testing.assert_close(several[:, 2], one)
    torch.testing.assert_close(chosen, several[:, [2, 0]])  # a choice of outputs


@pytest.mark.parametrize("method", [ShapleyValueSampling, KernelShap])
def test_tolerance_and_errors_hold_for_every_output(method):
    net, x = mlp(7, 3), rows(2, 7)
    scores, errors = method(net).attribute(x, n_samples=14, tolerance=0.02, return_error=True)
    assert scores.shape == errors.shape == (2, 3, 7)
    assert (errors <= 0.02).all()
    exact = ShapleyValues(net).attribute(x)
    assert ((scores - exact).abs() < 6 * 0.02).all()
