"""The Lasso: its conditions, and its solutions against scikit-learn where samples are few."""

import itertools

import pytest
import torch
from sklearn.linear_model import Lasso, LinearRegression

from pyxai import PyxaiWarning
from pyxai.attribution.coalitions import dual_newton
from pyxai.attribution.coalitions import lasso as lasso_module
from pyxai.attribution.coalitions.lasso import _optimal, weighted_lasso


@pytest.mark.parametrize("beta", [0.8, 0.9, 1.0])
def test_a_coefficient_may_miss_its_solution_on_either_side(beta):
    """``(b - 1)^2 / 2 + .1 |b|`` is least at .9."""
    one = torch.ones(1, 1, dtype=torch.float64)
    near = _optimal(one[:, None], one, 0.1, beta * one, 0.01 * one)
    assert near.tolist() == [beta == 0.9]


def test_a_coefficient_of_zero():
    """It is right where the slope does not reach the penalty, on either side."""
    one, zero = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    slopes = torch.tensor([[0.05], [-0.05], [0.2], [-0.2]], dtype=torch.float64)
    found = _optimal(one[:, None], slopes, 0.1, zero, 0.01 * one)
    assert found.tolist() == [True, True, False, False]


def objective(design, outputs, weights, beta, alpha):
    """What scikit-learn's Lasso minimises."""
    weights = weights / weights.sum()
    residuals = outputs - design @ beta
    residuals = residuals - weights @ residuals
    return float((weights * residuals.square()).sum() / 2 + alpha * beta.abs().sum())


def bernoulli(*shape, seed=0, pairs=False):
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(shape, generator=generator) < 0.5
    if pairs:
        draws[1::2] = ~draws[0::2][: len(draws[1::2])]
    return draws


@pytest.mark.parametrize(
    ("n_samples", "n_features", "alpha"),
    [(25, 32, 0.01), (25, 300, 0.01), (30, 31, 1e-4), (100, 100, 0.01), (300, 20, 0.0)],
)
@pytest.mark.parametrize("shared", [True, False])
def test_few_samples_equal_scikit_learn(n_samples, n_features, alpha, shared):
    draws = [bernoulli(n_samples, n_features, seed=seed) for seed in range(3)]
    design = draws[0] if shared else torch.stack(draws)
    each = [draws[0]] * 3 if shared else draws
    generator = torch.Generator().manual_seed(9)
    weights = torch.rand(3, n_samples, generator=generator, dtype=torch.float64)
    noise = torch.randn(3, n_samples, generator=generator, dtype=torch.float64)
    outputs = torch.stack([part.double().sum(1) for part in each]) + 0.1 * noise
    found = weighted_lasso(design, outputs, weights, alpha)
    for row in range(3):
        model = Lasso(alpha=alpha, tol=1e-12, max_iter=200_000)
        model = model if alpha else LinearRegression()
        data = each[row].double().numpy(), outputs[row].numpy()
        model.fit(*data, sample_weight=weights[row].numpy())
        expected = torch.from_numpy(model.coef_)
        torch.testing.assert_close(found[row], expected, atol=1e-7, rtol=1e-7)
        alone = weighted_lasso(each[row], outputs[row : row + 1], weights[row : row + 1], alpha)
        torch.testing.assert_close(alone[0], found[row], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("n_features", [32, 2000])
def test_where_many_solutions_are_best_one_of_them_is_found(n_features):
    """Pairs leave 13 different rows: columns are alike or opposite, and the Lasso is not unique."""
    design = bernoulli(25, n_features, pairs=True).double()
    weights = torch.ones(1, 25, dtype=torch.float64)
    outputs = design[:, :32].sum(1)[None]
    found = weighted_lasso(design, outputs, weights, 0.01)[0]
    model = Lasso(alpha=0.01, tol=1e-12, max_iter=200_000).fit(design.numpy(), outputs[0].numpy())
    expected = torch.from_numpy(model.coef_)
    least = objective(design, outputs[0], weights[0], expected, 0.01)
    assert objective(design, outputs[0], weights[0], found, 0.01) <= least * (1 + 1e-9)


@pytest.mark.parametrize(("n_samples", "n_features"), [(25, 32), (25, 300), (60, 8)])
def test_features_that_are_alike_share_alike(n_samples, n_features):
    design = bernoulli(n_samples, n_features).double()
    design[:, -1] = design[:, 0]
    weights = torch.ones(1, n_samples, dtype=torch.float64)
    outputs = design[:, [0, 1, -1]].sum(1)[None]
    found = weighted_lasso(design, outputs, weights, 0.01)[0]
    assert found[0] > 0.5
    assert found[0] == pytest.approx(found[-1].item(), abs=1e-9)


@pytest.mark.parametrize(("n_samples", "n_features"), [(80, 40), (8, 40)])
def test_the_best_that_was_found_comes_with_a_warning(n_samples, n_features, monkeypatch):
    design = bernoulli(n_samples, n_features).double()
    # Steps that are too few leave a wrong choice of coefficients.
    outputs = (design * torch.linspace(-1, 1, n_features).double()).sum(1)[None]
    weights = torch.ones(1, n_samples, dtype=torch.float64)
    monkeypatch.setattr(lasso_module, "ROUNDS", 0)
    monkeypatch.setattr(dual_newton, "MAX_POINTS", 1)
    monkeypatch.setattr(dual_newton, "MAX_STEPS", 1)
    with pytest.warns(PyxaiWarning, match=r"alpha=0\.1 is not at its optimum for 1 row"):
        found = weighted_lasso(design, outputs, weights, 0.1)
    assert found.isfinite().all()


def test_columns_that_are_independent_take_gradient_steps_alone(monkeypatch):
    monkeypatch.setattr(lasso_module, "dual_newton", None)
    design = torch.tensor(list(itertools.product([0, 1], repeat=3)), dtype=torch.float64)
    outputs = design @ torch.tensor([[2.0, -2.0, -0.2]], dtype=torch.float64).T
    found = weighted_lasso(design, outputs.T, torch.ones(1, 8, dtype=torch.float64), 0.1)
    # The variance of a column is 1/4: each is shrunk by .1 / .25.
    wanted = torch.tensor([[1.6, -1.6, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_samples_are_summed_in_blocks(monkeypatch):
    design, outputs = bernoulli(1000, 6), torch.randn(2, 1000, dtype=torch.float64)
    weights = torch.rand(2, 1000, dtype=torch.float64)
    whole = weighted_lasso(design, outputs, weights, 0.01)
    monkeypatch.setattr(lasso_module, "ELEMENTS", 100)
    torch.testing.assert_close(weighted_lasso(design, outputs, weights, 0.01), whole)


@pytest.mark.parametrize("sign", [1, -1])
def test_few_steps_are_needed(sign, monkeypatch):
    """About five for each proximal point; rounding that is not known as such costs many more."""
    solves, solve = [], torch.linalg.solve_ex
    monkeypatch.setattr(torch.linalg, "solve_ex", lambda *given: solves.append(0) or solve(*given))
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        design = (torch.rand(2, 25, 60, generator=generator) < 0.5).double()
        design = design - design.mean(1, keepdim=True)
        noise = 0.1 * torch.randn(2, 25, generator=generator).double()
        outputs = sign * (design[..., :8].sum(2) + noise)
        solves.clear()
        _, gap = dual_newton.dual_newton(design, outputs, 0.5)
        assert gap.max() < 1e-12
        assert 5 <= len(solves) <= 5 * dual_newton.MAX_POINTS
