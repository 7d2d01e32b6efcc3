"""Estimators of gradients against the sum over all masks."""

import pytest
import torch
from torch import nn

from pyxai.lex import (
    REBAR,
    REINFORCE,
    RELAX,
    Bernoulli,
    Bound,
    Concrete,
    Enumeration,
    LeaveOneOut,
    Pathwise,
    Question,
    StraightThrough,
    Subset,
)

SCORES = torch.tensor([-0.4, 0.7, 0.1, -1.2], dtype=torch.float64)
WEIGHTS = torch.tensor([0.8, -1.1, 0.5, 0.3], dtype=torch.float64)


def log_p(masks):
    """Return a smooth log-probability of masks, no linear one: [..., 4] -> [...]."""
    pairs = masks[..., 0] * masks[..., 1] - 1.5 * masks[..., 2] * masks[..., 3]
    return nn.functional.logsigmoid(masks @ WEIGHTS + pairs)


def question(law, rows, n_outer=1, n_inner=1, seed=0):
    scores = SCORES.expand(rows, -1).clone().requires_grad_()

    def evaluate(masks, inner):
        values = log_p(masks).view(rows, -1, inner)  # [rows, L, K]
        together = values.logsumexp(2) - torch.tensor(float(inner)).log()
        return Bound(-together, values[..., None, None], values.new_ones(rows, 1))

    return Question(
        law=law,
        scores=scores,
        n_outer=n_outer,
        n_inner=n_inner,
        seed=seed,
        example_ids=torch.arange(rows),
        evaluate=evaluate,
        relaxed=lambda masks: evaluate(masks, n_inner).loss,
        baseline=lambda model: torch.full((rows,), 0.3, dtype=torch.float64),
    )


def gradients(estimator, asked):
    """Return one gradient for each row, [rows, 4]."""
    estimator.estimate(asked).surrogate.sum().backward()
    return asked.scores.grad


def exact(law, n_inner=1):
    """Return the gradient of the expected loss, by enumeration of all tuples of masks."""
    scores = SCORES.clone().requires_grad_()
    masks = law.support(4, scores)
    chances = law.log_prob(scores[None], masks[None])[0]
    values, log_chance = log_p(masks), chances
    for _ in range(n_inner - 1):  # all pairs, all triples, ...
        values = torch.logaddexp(values[..., None], log_p(masks))
        log_chance = log_chance[..., None] + chances
    loss = -(values - torch.tensor(float(n_inner)).log())
    (log_chance.exp() * loss).sum().backward()
    return scores.grad


UNBIASED = [
    (REINFORCE(), 1, 1),
    (REINFORCE("outer"), 3, 1),
    (REINFORCE(nn.Identity()), 1, 2),
    (REBAR(0.1), 1, 1),
    (REBAR(0.5), 1, 1),
    (REBAR(1.0, scale=0.5), 2, 2),
    (RELAX(), 1, 1),
    (RELAX(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double(), 1.0), 2, 2),
    (LeaveOneOut(), 1, 2),
    (LeaveOneOut(), 2, 3),
]


@pytest.mark.parametrize(
    ("estimator", "n_outer", "n_inner"), UNBIASED, ids=lambda value: type(value).__name__
)
def test_estimators_are_unbiased(estimator, n_outer, n_inner):
    law, rows = Bernoulli(), 50_000
    found = gradients(estimator, question(law, rows, n_outer, n_inner))
    error = found.std(0) / rows**0.5
    assert bool(((found.mean(0) - exact(law, n_inner)).abs() < 4.2 * error).all())


@pytest.mark.parametrize("estimator", [REINFORCE(), LeaveOneOut()])
def test_estimators_of_subsets_are_unbiased(estimator):
    law, rows = Subset(2), 10_000
    n_inner = 1 if isinstance(estimator, REINFORCE) else 2
    found = gradients(estimator, question(law, rows, 1, n_inner))
    error = found.std(0) / rows**0.5
    assert bool(((found.mean(0) - exact(law, n_inner)).abs() < 4.2 * error).all())


@pytest.mark.parametrize("law", [Bernoulli(), Subset(2)])
def test_enumeration_is_exact(law):
    found = gradients(Enumeration(), question(law, 1))
    torch.testing.assert_close(found[0], exact(law))


def test_control_variates_lower_the_variance():
    plain, controlled = (
        gradients(estimator, question(Bernoulli(), 20_000)).var(0).sum()
        for estimator in (REINFORCE(), REBAR(0.5))
    )
    assert float(controlled) < 0.6 * float(plain)


def test_straight_through_is_biased():
    found = gradients(Pathwise(), question(StraightThrough(0.5), 50_000))
    error = found.std(0) / 50_000**0.5
    assert bool(((found.mean(0) - exact(Bernoulli())).abs() > 5 * error).any())


def test_rebar_without_its_control_variate_is_reinforce():
    first = gradients(REBAR(0.5, scale=0.0), question(Bernoulli(), 50, 2, 2))
    second = gradients(REINFORCE(), question(Bernoulli(), 50, 2, 2))
    torch.testing.assert_close(first, second)


def test_relax_with_a_fixed_control_variate_is_rebar():
    first = gradients(RELAX(temperature=0.5), question(Bernoulli(), 50))
    second = gradients(REBAR(0.5), question(Bernoulli(), 50))
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-8)


def test_relax_learns_to_lower_the_variance():
    estimator = RELAX(temperature=1.5, scale=0.2)
    optimiser = torch.optim.Adam(estimator.parameters(), lr=0.1)
    before = gradients(estimator, question(Bernoulli(), 5_000, seed=9)).var(0).sum()
    for seed in range(30):
        optimiser.zero_grad()
        estimator.estimate(question(Bernoulli(), 200, seed=seed)).surrogate.mean().backward()
        optimiser.step()
    after = gradients(estimator, question(Bernoulli(), 5_000, seed=9)).var(0).sum()
    assert float(after) < 0.8 * float(before)
    assert abs(estimator.scale.item() - 0.2) > 0.1


def test_a_moving_baseline_is_that_of_the_batches_before():
    estimator = REINFORCE("moving", momentum=0.5)
    first = gradients(estimator, question(Bernoulli(), 40, seed=1))
    torch.testing.assert_close(first, gradients(REINFORCE(), question(Bernoulli(), 40, seed=1)))
    mean = float(estimator.mean / estimator.seen)
    loss = REINFORCE().estimate(question(Bernoulli(), 40, seed=1)).loss
    assert mean == pytest.approx(float(loss.mean()))
    asked = question(Bernoulli(), 40, seed=2)
    found = gradients(estimator, asked)
    masks = question(Bernoulli(), 40, seed=2).sample()[:, 0]
    gain = -log_p(masks) - mean
    torch.testing.assert_close(found, gain[:, None] * (masks - SCORES.sigmoid()))


@pytest.mark.parametrize(
    ("estimator", "law", "sizes", "error", "message"),
    [
        (Pathwise(), Bernoulli(), (1, 1), TypeError, "law must have samples with a gradient"),
        (REINFORCE(), Concrete(), (1, 1), TypeError, "law must have probabilities for REINFORCE"),
        (REBAR(), Subset(2), (1, 1), TypeError, "law must be Bernoulli for REBAR, got Subset"),
        (RELAX(), Concrete(), (1, 1), TypeError, "law must be Bernoulli for RELAX, got Concrete"),
        (Enumeration(), Bernoulli(), (1, 2), ValueError, "n_masks must be 1 for Enumeration"),
        (LeaveOneOut(), Bernoulli(), (1, 1), ValueError, "n_masks must be at least 2"),
        (REINFORCE("outer"), Bernoulli(), (1, 1), ValueError, "outer_masks must be at least 2"),
    ],
)
def test_estimators_say_what_they_need(estimator, law, sizes, error, message):
    with pytest.raises(error, match=message):
        estimator.check(law, *sizes)


def test_wrong_baselines_are_named():
    with pytest.raises(ValueError, match="baseline must be one of 'outer', 'moving', got 'mean'"):
        REINFORCE("mean")
    with pytest.raises(TypeError, match="baseline must be a name or a module, got 3"):
        REINFORCE(3)
