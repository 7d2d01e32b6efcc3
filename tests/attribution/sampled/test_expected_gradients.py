"""Expected gradients: closed forms, integrated gradients of each row, calibrated errors."""

import pytest
import torch
from closed_forms import CASES
from tanh_nets import mlp, rows

from pyxai.attribution import (
    ExpectedGradients,
    GradientShap,
    IntegratedGradients,
)

SMOOTH = [name for name, case in CASES.items() if not case.piecewise_linear or name == "T1"]


@pytest.mark.parametrize("name", SMOOTH)
def test_exact_form_equals_the_closed_forms(name):
    case = CASES[name]
    scores, delta = ExpectedGradients(case.net()).attribute(
        case.inputs(), case.background(), return_convergence_delta=True
    )
    torch.testing.assert_close(scores, case.expected("expected_gradients"), atol=1e-9, rtol=1e-9)
    assert delta.abs().max() < 1e-9


@pytest.mark.parametrize("name", [name for name in CASES if name not in SMOOTH])
def test_kinks_on_the_path_converge_with_the_nodes(name):
    case = CASES[name]
    expected = case.expected("expected_gradients")
    few, many = (
        ExpectedGradients(case.net()).attribute(
            case.inputs(), case.background(), n_steps=n_steps, method="riemann_middle"
        )
        for n_steps in (100, 2000)
    )
    # A jump of the gradient inside a cell of width 1/n costs the jump times half the cell at most.
    assert (many - expected).abs().max() <= 6 / 2000
    assert (few - expected).abs().max() <= 6 / 100


def test_exact_form_is_the_mean_of_integrated_gradients():
    net, x, background = mlp(5), rows(3, 5), rows(7, 5, seed=2)
    target = [0, 1, 0]
    scores, error = ExpectedGradients(net).attribute(
        x, background, target=target, return_error=True
    )
    each = [IntegratedGradients(net).attribute(x, row[None], target=target) for row in background]
    torch.testing.assert_close(scores, torch.stack(each).mean(0))
    assert (error == 0).all()


def test_exact_form_in_rounds_is_the_same(monkeypatch):
    net, x, background = mlp(5), rows(3, 5), rows(7, 5, seed=2)
    whole = ExpectedGradients(net).attribute(x, background, target=1)
    monkeypatch.setattr("pyxai.attribution.sampled.expected_gradients._COPY_BYTES", 3 * 5 * 8 * 2)
    torch.testing.assert_close(ExpectedGradients(net).attribute(x, background, target=1), whole)


def test_samples_converge_with_calibrated_errors():
    net, x, background = mlp(5), rows(2, 5), rows(20, 5, seed=2)
    exact = ExpectedGradients(net).attribute(x, background, target=1)
    misses, claims = [], []
    for seed in range(50):
        scores, error = ExpectedGradients(net).attribute(
            x, background, target=1, n_samples=40, seed=seed, return_error=True
        )
        same, same_error = GradientShap(net).attribute(
            x, background, target=1, n_samples=40, seed=seed, return_error=True
        )
        assert torch.equal(scores, same)
        assert torch.equal(error, same_error)
        misses.append(scores - exact)
        claims.append(error)
    misses, claims = torch.stack(misses), torch.stack(claims)
    assert (misses.mean(0).abs() < 4 * misses.std(0) / 50**0.5).all()
    covered = (misses.abs() <= 2 * claims).double().mean()
    assert 0.91 < covered < 0.985


def test_expected_gradients_report_their_gap():
    net, x, background = mlp(4), rows(3, 4), rows(6, 4, seed=4)
    for options in ({}, {"n_samples": 30}):
        scores, delta = ExpectedGradients(net).attribute(
            x, background, target=1, return_convergence_delta=True, **options
        )
        gain = net(x)[:, 1] - net(background)[:, 1].mean()
        torch.testing.assert_close(delta, (scores.sum(1) - gain).detach())


def test_bad_arguments_are_named():
    net, x, background = mlp(4), rows(2, 4), rows(3, 4)
    expected = ExpectedGradients(net)
    with pytest.raises(ValueError, match="max_evals must come with n_samples, got 10 alone"):
        expected.attribute(x, background, target=0, tolerance=0.1, max_evals=10)
    with pytest.raises(ValueError, match="max_evals must come with a tolerance"):
        expected.attribute(x, background, target=0, n_samples=8, max_evals=10)
