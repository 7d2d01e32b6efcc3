"""Shapley values from orders of players: closed forms, enumeration, captum at equal cost."""

import captum.attr
import pytest
import torch
from closed_forms import CASES
from tanh_nets import rows
from tanh_nets import steep_mlp as mlp

from pyxai import PyxaiWarning
from pyxai.attribution import ShapleyValues, ShapleyValueSampling


@pytest.mark.parametrize("name", sorted(set(CASES) - {"T3"}))  # there three players interact
def test_antithetic_orders_are_exact_up_to_pairs_of_players(name):
    case = CASES[name]
    assert max(len(players) for players in case.effects) <= 2
    scores = ShapleyValueSampling(case.net()).attribute(case.inputs(), n_samples=2)
    torch.testing.assert_close(scores, case.expected("shapley_value"), atol=1e-9, rtol=1e-9)


def test_orders_are_unbiased_and_their_errors_calibrated():
    net, x = mlp(7), rows(2, 7)
    exact = ShapleyValues(net).attribute(x)
    misses, claims = [], []
    for seed in range(60):
        scores, error = ShapleyValueSampling(net).attribute(
            x, n_samples=20, seed=seed, return_error=True
        )
        misses.append(scores - exact)
        claims.append(error)
    misses, claims = torch.stack(misses), torch.stack(claims)
    spread = misses.std(0)
    assert (misses.mean(0).abs() < 4 * spread / 60**0.5).all()
    # Ten pairs: t with nine degrees of freedom, 95 % within 2.26.
    covered = (misses.abs() <= 2.26 * claims).double().mean()
    assert 0.92 < covered < 0.98
    assert 0.85 < claims.square().mean().sqrt() / misses.square().mean().sqrt() < 1.15


def test_antithetic_pairs_beat_captum_at_equal_cost():
    net, x = mlp(6), rows(1, 6)
    exact = ShapleyValues(net).attribute(x)
    ours, theirs = [], []
    torch.manual_seed(0)
    for seed in range(20):
        ours.append(ShapleyValueSampling(net).attribute(x, n_samples=10, seed=seed) - exact)
        theirs.append(captum.attr.ShapleyValueSampling(net).attribute(x, n_samples=10) - exact)
    ours, theirs = (torch.stack(each).square().mean().sqrt() for each in (ours, theirs))
    assert ours < 0.75 * theirs


def test_rows_seeds_and_chunks(monkeypatch):
    net, x = mlp(6), rows(4, 6)
    explain = lambda z, **options: ShapleyValueSampling(net).attribute(  # noqa: E731
        z, n_samples=9, return_error=True, **options
    )
    whole, error = explain(x)
    torch.testing.assert_close(explain(x[2:3])[0], whole[2:3])
    torch.testing.assert_close(explain(x.flip(0))[1], error.flip(0))
    torch.testing.assert_close(explain(x, perturbations_per_eval=3)[0], whole)
    assert (explain(x, seed=1)[0] - whole).abs().max() > 1e-3
    monkeypatch.setattr("pyxai.attribution.coalitions.shapley_value_sampling._ELEMENTS", 40)
    for part, same in zip(explain(x), (whole, error), strict=True):
        torch.testing.assert_close(part, same)


def test_tolerance():
    net, x = mlp(6), rows(3, 6) * torch.tensor([[0.05], [1.0], [2.0]])
    options = {"n_samples": 10, "tolerance": 0.02, "return_error": True}
    scores, error = ShapleyValueSampling(net).attribute(x, max_evals=40_000, **options)
    assert error.max() <= 0.02
    assert (scores - ShapleyValues(net).attribute(x)).abs().max() < 0.08
    alone, _ = ShapleyValueSampling(net).attribute(x[1:2], max_evals=40_000, **options)
    torch.testing.assert_close(alone, scores[1:2])
    with pytest.warns(PyxaiWarning, match="is not reached for 2 example"):
        ShapleyValueSampling(net).attribute(x, max_evals=60, **options)
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        ShapleyValueSampling(net).attribute(x, n_samples=0)
    with pytest.raises(TypeError, match="tolerance must be a number, got 'x'"):
        ShapleyValueSampling(net).attribute(x, tolerance="x")
