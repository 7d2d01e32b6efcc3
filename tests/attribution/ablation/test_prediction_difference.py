"""Prediction difference: closed forms, conditional draws, scores; and the imputers it brings."""

import pytest
import torch
from closed_forms import CASES

from pyxai import PyxaiWarning
from pyxai.attribution import PredictionDifference
from pyxai.imputers import Callback, Constant, Gaussian, Marginal


def mlp(n_features, n_outputs=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Linear(n_features, 24), torch.nn.Tanh(), torch.nn.Linear(24, n_outputs)
    return torch.nn.Sequential(*layers).double().eval()


def rows(batch, n_features, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, n_features, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_closed_forms(case):
    scores = PredictionDifference(case.net()).attribute(case.inputs(), case.background())
    expected = case.expected("prediction_difference")
    torch.testing.assert_close(scores, expected, atol=1e-9, rtol=1e-9)


def by_hand(function, x, background, groups):
    """The definition, with loops."""
    scores = torch.zeros_like(x)
    for row in range(len(x)):
        for group in groups:
            changed = x[row].expand(len(background), -1).clone()
            changed[:, group] = background[:, group]
            scores[row, group] = function(x[row : row + 1])[0] - function(changed).mean()
    return scores


def test_groups_of_features_go_together():
    net, x, background = mlp(5), rows(3, 5), rows(11, 5, seed=4)
    mask = torch.tensor([[0, 1, 1, 2, 0]])
    scores = PredictionDifference(net).attribute(x, background, target=2, feature_mask=mask)
    expected = by_hand(lambda z: net(z)[:, 2].detach(), x, background, [[0, 4], [1, 2], [3]])
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("n_outputs", [3, 1])
def test_scores(n_outputs):
    net, x, background = mlp(4, n_outputs), 3 * rows(3, 4), rows(8, 4, seed=4)
    target = 1 if n_outputs > 1 else None
    explain = lambda **options: PredictionDifference(net).attribute(  # noqa: E731
        x, background, target=target, **options
    )

    def probability(z):
        outputs = net(z).detach()
        return outputs.softmax(1)[:, 1] if n_outputs > 1 else outputs[:, 0].sigmoid()

    every = [[feature] for feature in range(4)]
    torch.testing.assert_close(
        explain(score="probability"), by_hand(probability, x, background, every)
    )
    log_odds = by_hand(lambda z: torch.logit(probability(z)), x, background, every)
    torch.testing.assert_close(explain(score="log_odds"), log_odds)
    evidence = explain(score="weight_of_evidence")
    mean = probability(x)[:, None] - explain(score="probability")
    torch.testing.assert_close(evidence, torch.logit(probability(x))[:, None] - torch.logit(mean))
    if n_outputs == 1:
        torch.testing.assert_close(explain(), log_odds)


def test_log_odds_keep_their_digits_near_certainty():
    logits = torch.tensor([[60.0, 0.0, -5.0], [0.0, 3.0, 3.0]], dtype=torch.float64)
    passing = lambda z: z  # noqa: E731
    scores = PredictionDifference(passing).attribute(
        logits[:1], logits[1:], target=0, score="log_odds"
    )
    others = lambda z, c: z[c] - torch.cat([z[:c], z[c + 1 :]]).logsumexp(0)  # noqa: E731
    for feature in range(3):
        changed = logits[0].clone()
        changed[feature] = logits[1, feature]
        expected = others(logits[0], 0) - others(changed, 0)
        torch.testing.assert_close(scores[0, feature], expected)


COVARIANCE = torch.tensor(
    [[2.0, 0.8, -0.5], [0.8, 1.0, 0.3], [-0.5, 0.3, 1.5]], dtype=torch.float64
)
MEAN = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


def conditional(x, absent):
    """Mean and covariance of the absent features given the others."""
    present = [i for i in range(3) if i not in absent]
    gain = COVARIANCE[absent][:, present] @ COVARIANCE[present][:, present].inverse()
    mean = MEAN[absent] + (x[:, present] - MEAN[present]) @ gain.T
    return mean, COVARIANCE[absent][:, absent] - gain @ COVARIANCE[present][:, absent]


def test_linear_functions_have_exact_conditional_differences():
    weights, x = rows(1, 3)[0], rows(4, 3, seed=6)
    imputer = Gaussian(mean=MEAN, covariance=COVARIANCE, n_draws=2)
    scores = PredictionDifference(lambda z: z @ weights).attribute(x, imputer=imputer)
    for feature in range(3):
        mean, _ = conditional(x, [feature])
        torch.testing.assert_close(
            scores[:, feature], (x[:, feature] - mean[:, 0]) * weights[feature]
        )


@pytest.mark.parametrize("absent", [[0], [1, 2], [0, 1, 2]])
def test_conditional_draws_have_the_right_moments(absent):
    x = rows(2, 3, seed=6)
    present = torch.ones(2, 1, 3, dtype=torch.bool)
    present[:, :, absent] = False
    imputer = Gaussian(mean=MEAN, covariance=COVARIANCE, n_draws=20_000).check((x,))
    (draws,) = imputer.draw((x,), (present,), seed=0, example_ids=torch.arange(2))
    mean, covariance = conditional(x, absent)
    for row in range(2):
        found = draws[row, 0][:, absent]
        torch.testing.assert_close(found.mean(0), mean[row])  # antithetic: exact
        # 10 000 independent pairs: the error of a covariance is about 1.4 % of the variances.
        torch.testing.assert_close(found.T.cov().view_as(covariance), covariance, atol=0.12, rtol=0)


def test_draws_do_not_depend_on_the_batch_or_on_the_order_of_masks():
    x = rows(5, 3, seed=6)
    imputer = Gaussian(rows(40, 3, seed=2) @ COVARIANCE, n_draws=3).check((x,))
    masks = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    ids = torch.tensor([9, 3, 5, 1, 7])
    (whole,) = imputer.draw((x,), (masks,), seed=1, example_ids=ids)
    (part,) = imputer.draw((x[2:3],), (masks[2:3],), seed=1, example_ids=ids[2:3])
    torch.testing.assert_close(whole[2:3], part)
    shared = masks[:1].expand(5, 4, 3)
    (same,) = imputer.draw((x,), (shared,), seed=1, example_ids=ids)
    torch.testing.assert_close(same[0], whole[0])
    kept = masks[:, :, None].expand_as(whole)
    # What an absent feature was must not reach the draws.
    changed = x.clone()
    changed[0, ~masks[0, 0]] += 5.0
    (after,) = imputer.draw((changed,), (masks,), seed=1, example_ids=ids)
    hidden = ~kept[0, 0]
    torch.testing.assert_close(after[0, 0][hidden], whole[0, 0][hidden])


@pytest.mark.parametrize("score", ["logit", "weight_of_evidence"])
@pytest.mark.parametrize("kind", ["drawn rows", "conditional"])
def test_standard_errors_are_calibrated(kind, score):
    net, x, background = mlp(3), rows(2, 3, seed=6), rows(40, 3, seed=2) @ COVARIANCE
    imputers = {
        "drawn rows": lambda n_draws: Marginal(background, n_draws=n_draws),
        "conditional": lambda n_draws: Gaussian(background, n_draws=n_draws),
    }

    def explain(n_draws, seed):
        return PredictionDifference(net).attribute(
            x, target=1, imputer=imputers[kind](n_draws), score=score, seed=seed, return_error=True
        )

    exact, _ = explain(40_000, 0)
    # Means of antithetic pairs are skewed: it takes more of them until their mean is normal.
    n_draws = 64 if kind == "drawn rows" else 512
    runs = [explain(n_draws, seed) for seed in range(1, 61)]
    misses = torch.stack([scores - exact for scores, _ in runs])
    claims = torch.stack([error for _, error in runs])
    covered = (misses.abs() <= 2 * claims).double().mean()
    assert 0.91 < covered < 0.985  # 0.954 where the mean is normal; 360 cases
    # The standard deviation of 60 misses is itself known to 9 % only.
    torch.testing.assert_close(claims.mean(0), misses.std(0), rtol=0.35, atol=0)


def test_errors_of_exact_means_are_zero_and_of_single_draws_unknown():
    net, x, background = mlp(4), rows(2, 4), rows(8, 4, seed=4)
    explain = lambda *given, **options: PredictionDifference(net).attribute(  # noqa: E731
        x, *given, target=0, return_error=True, **options
    )
    for scores, error in (explain(background), explain(imputer=Constant(0.0))):
        assert error.shape == scores.shape
        assert (error == 0).all()
    for imputer in (Marginal(background, n_draws=1), Gaussian(background, n_draws=3)):
        with pytest.warns(PyxaiWarning, match=r"^n_draws=\d leaves .* infinite: .* more"):
            assert explain(imputer=imputer)[1].isinf().all()


def test_fitted_moments_and_tuples():
    background = rows(60, 3, seed=2) @ COVARIANCE
    net, x = mlp(3), rows(2, 3, seed=6)
    fitted = Gaussian(background, n_draws=4)
    given = Gaussian(mean=background.mean(0), covariance=background.T.cov(), n_draws=4)
    explain = lambda imputer: PredictionDifference(net).attribute(  # noqa: E731
        x, target=1, imputer=imputer
    )
    torch.testing.assert_close(explain(fitted), explain(given))
    pair = Gaussian((background[:, :1], background[:, 1:]), n_draws=4)
    joint = PredictionDifference(lambda a, b: net(torch.cat([a, b], 1)))
    scores = joint.attribute((x[:, :1], x[:, 1:]), target=1, imputer=pair)
    assert [part.shape for part in scores] == [(2, 1), (2, 2)]


def test_user_functions():
    net, x, background = mlp(4), rows(3, 4), rows(8, 4, seed=4)

    def sampler(inputs, present, *, n_draws, seed, example_ids):
        assert present.dtype == torch.bool
        assert (len(inputs), seed) == (len(example_ids), 5)
        return background[:n_draws]

    scores = PredictionDifference(net).attribute(
        x, target=0, imputer=Callback(sampler, n_draws=8), seed=5
    )
    expected = PredictionDifference(net).attribute(x, background, target=0)
    torch.testing.assert_close(scores, expected)


def test_bad_arguments_are_named():
    net, x, background = mlp(4), rows(3, 4), rows(8, 4, seed=4)
    difference = PredictionDifference(net)
    with pytest.raises(ValueError, match=r"baselines must be given as background rows .* neither"):
        difference.attribute(x, target=0)
    with pytest.raises(ValueError, match=r"baselines must be given as background rows .* both"):
        difference.attribute(x, background, target=0, imputer=Marginal(background))
    with pytest.raises(ValueError, match="score must be one of 'logit', 'probability'"):
        difference.attribute(x, background, target=0, score="odds")
    with pytest.raises(ValueError, match=r"baselines must have shape \[\*, 4\], got \[8, 3\]"):
        difference.attribute(x, background[:, :3], target=0)
    with pytest.raises(ValueError, match="got a singular matrix; pass shrinkage > 0"):
        Gaussian(background[:3])
    Gaussian(background[:3], shrinkage=0.1)
    with pytest.raises(ValueError, match=r"background must be given unless .* got neither"):
        Gaussian()
    with pytest.raises(ValueError, match="background must have at least 2 rows"):
        Gaussian(background[:1])
    with pytest.raises(
        ValueError, match="inputs must have 3 features like the distribution, got 4"
    ):
        difference.attribute(x, target=0, imputer=Gaussian(mean=MEAN, covariance=COVARIANCE))
    with pytest.raises(ValueError, match=r"covariance must have shape \[2, 2\]"):
        Gaussian(mean=MEAN[:2], covariance=COVARIANCE)
    with pytest.raises(TypeError, match="function must be callable, got 3"):
        Callback(3)
    with pytest.raises(ValueError, match=r"function must return values of shape \[3, 1, 1, 4\]"):
        difference.attribute(
            x, target=0, imputer=Callback(lambda *_, **__: torch.zeros(2, 2, 4)), seed=0
        )
