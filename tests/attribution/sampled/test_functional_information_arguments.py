"""Arguments of functional information: groups, precision and forms of the inputs."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from pyxai._errors import PyxaiWarning
from pyxai.attribution import FunctionalInformation
from pyxai.covariance import BandedCovariance, DenseCovariance

EYE = DenseCovariance(torch.eye(3, dtype=torch.float64))
WEIGHT = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear():
    return FunctionalInformation(lambda rows: rows @ WEIGHT, output="exp", covariance=EYE)


@pytest.mark.parametrize("score", ["plain", "additive", "marginal", "conditional"])
def test_groups_of_one_in_any_order_score_their_own_feature(score):
    """As many groups as features, but not in the order of the features."""
    mask, x = torch.tensor([[2, 0, 1]]), draws(1, 3)
    found = linear().attribute(x, score=score, n_samples=10, feature_mask=mask)
    torch.testing.assert_close(found, linear().attribute(x, score=score, n_samples=10))
    torch.testing.assert_close(found / found[:, :1], WEIGHT.square()[None])


def test_local_conditional_of_groups_of_one_in_any_order():
    mask, x = torch.tensor([[2, 0, 1]]), draws(1, 3)
    found, error = linear().local_conditional(
        x, n_samples=4000, feature_mask=mask, return_error=True
    )
    expected = WEIGHT.square() * torch.exp(x @ WEIGHT + 0.15 * WEIGHT.square() / 2)
    assert ((found - expected).abs() < 4 * error).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["dense", "sample"])
def test_singular_covariance_is_found_with_float32_inputs(form, seed):
    """Rounded to float32 the matrix is not singular any more, and its inverse is noise."""
    x = draws(200, 5, seed=seed)
    x = torch.cat([x, x[:, :1] + x[:, 1:2]], 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(6, 2)
    method = FunctionalInformation(model).fit([(x, torch.zeros(200, dtype=torch.int64))], form=form)
    options = {"score": "conditional", "n_samples": 4}
    with pytest.raises(ValueError, match="covariance must be positive definite, got a singular"):
        method.attribute(x[:1].float(), 0, **options)
    with pytest.raises(ValueError, match="covariance must be positive definite, got a singular"):
        method.local_conditional(x[:1].float(), 0, n_samples=2)


def test_scores_read_an_ill_conditioned_covariance_as_given():
    root = draws(3, 3)
    spread = torch.diag(torch.tensor([1.0, 1e-3, 1e-8], dtype=torch.float64))
    sigma = root @ spread @ root.T
    sigma = (sigma + sigma.T) / 2
    method = FunctionalInformation(
        lambda rows: rows @ WEIGHT.to(rows.dtype), output="exp", covariance=DenseCovariance(sigma)
    )
    options = {"names": ("conditional", "plain"), "n_samples": 4, "noise": "isotropic"}
    found = method.scores(draws(1, 3).float(), **options)
    ratio = (found["conditional"] / found["plain"])[0].double()
    expected = 1 / torch.linalg.inv(sigma).diagonal()
    torch.testing.assert_close(ratio, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("n_samples", [2, 4])
@pytest.mark.parametrize("score", ["vargrad", "vargrad_sq"])
def test_variances_are_unbiased_at_any_number_of_samples(score, n_samples):
    """grad f = f grad h for f = exp(h), so that moments of a log-normal law give the variance."""
    slope, x, scale = 0.4, torch.tensor([[0.0, 1.0]], dtype=torch.float64), 0.5
    method = FunctionalInformation(lambda rows: slope * rows[:, 0], output="exp")
    options = {"score": score, "n_samples": n_samples, "scale": scale}
    found = torch.stack([method.attribute(x, seed=seed, **options)[0, 0] for seed in range(1500)])
    power = 1 if score == "vargrad" else 2
    spread = power**2 * slope**2 * scale * 0.5  # the entries 0 and 1 have variance 1/2
    expected = slope ** (2 * power) * (math.exp(spread) - 1) * math.exp(spread)
    assert abs(found.mean() - expected) < 4 * found.std() / 1500**0.5


@pytest.mark.parametrize(
    "target",
    [np.int64(1), (1,), [(1,), (1,)], np.array([1, 1]), torch.tensor(1), torch.tensor([1]), [1, 1]],
    ids=repr,
)
def test_class_covariances_for_targets_in_all_forms(target):
    x, weight = draws(2, 3), draws(3, 2, seed=1)
    classes = {c: DenseCovariance((c + 1) * torch.eye(3, dtype=torch.float64)) for c in range(2)}
    method = FunctionalInformation(lambda rows: rows @ weight, covariance=classes)
    found = method.attribute(x, target, score="additive", n_samples=4)
    torch.testing.assert_close(found, method.attribute(x, 1, score="additive", n_samples=4))


def test_class_covariances_need_one_class_for_each_example():
    method = FunctionalInformation(lambda rows: rows, covariance={0: linear().covariance})
    for target in (None, (0, 1), [(0, 1), (0, 1)]):
        with pytest.raises(ValueError, match="target must be one class, or one per example"):
            method.attribute(draws(2, 3), target, score="additive")
    with pytest.raises(ValueError, match="target must have one entry per example, 2, got 3"):
        method.attribute(draws(2, 3), [0, 0, 0], score="additive")


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("offset", [0.0, -120.0, -900.0])
def test_relative_scores_of_any_output(offset, rows):
    """f and f e^offset have the same shares, also where f is no float32 or float64 any more."""
    names = ("plain", "additive", "smoothgrad", "smoothgrad_sq", "vargrad", "vargrad_sq")
    covariance = DenseCovariance(torch.eye(3, dtype=torch.float64))
    options = {"names": names, "n_samples": 12, "scale": 2.0}

    def method(shift):
        return FunctionalInformation(
            lambda x: (x @ WEIGHT.to(x.dtype)).tanh() * 3 + shift,
            output="exp",
            covariance=covariance,
        )

    x = draws(2, 3)
    absolute = method(0.0).scores(x, **options)
    law = method(0.0)._noise(x, None, 2.0, "covariance", needs=True)
    points = law.points(slice(0, 2), slice(0, 12), seed=0, paired=False)
    mean = torch.exp((points @ WEIGHT).tanh() * 3).view(12, 2).mean(0)
    found = method(offset).scores(x, relative=True, internal_batch_size=rows, **options)
    for name in names:
        power = {"smoothgrad_sq": 2, "vargrad": 2, "vargrad_sq": 4}.get(name, 1)
        torch.testing.assert_close(found[name], absolute[name] / mean[:, None] ** power)


def test_scores_that_became_zero_are_told():
    x = draws(2, 3)
    method = FunctionalInformation(
        lambda rows: torch.stack([rows @ WEIGHT.to(rows.dtype), 120 + 0 * rows[:, 0]], 1)
    )
    for inputs in (x.float(), x - 900):
        with pytest.warns(PyxaiWarning, match="scores of 2 examples are too small for torch.float"):
            zeros = method.attribute(inputs, 0, n_samples=4)
        assert (zeros == 0).all()
        found = method.attribute(inputs, 0, n_samples=4, relative=True)
        torch.testing.assert_close(found.double(), WEIGHT.square().expand(2, 3), rtol=1e-5, atol=0)


@pytest.mark.parametrize("seed", range(12))
def test_singular_band_is_drawn_from_with_float32_inputs(seed):
    """Rounded to float32 such a band has a negative eigenvalue; draws are rounded instead."""
    d = 50
    factor = torch.zeros(d, d - 1, dtype=torch.float64)
    order = torch.arange(d - 1)
    factor[order, order], factor[order + 1, order] = draws(d - 1, seed=seed), draws(d - 1)
    sigma = factor @ factor.T
    bands = torch.stack([sigma.diagonal(), torch.nn.functional.pad(sigma.diagonal(1), (0, 1))])
    weight, x = draws(d, 2, seed=1) / 7, draws(2, d, seed=2)
    method = FunctionalInformation(
        lambda rows: rows @ weight.to(rows.dtype), covariance=BandedCovariance(bands)
    )
    law = method._noise(x.float(), 0, 1.0, "covariance", needs=True)
    points = law.points(slice(0, 2), slice(0, 6), seed=0, paired=False)
    assert points.dtype == torch.float32
    reach = (points.view(6, 2, d) - x.float()).flatten(0, 1).double()
    flat = torch.linalg.svd(factor).U[:, -1]  # no draw goes there
    assert (reach @ flat).abs().max() < 1e-5 * reach.norm(dim=1).max()
    found = method.attribute(x.float(), 0, score="additive", n_samples=6)
    assert found.isfinite().all()


@pytest.mark.parametrize("reduction", ["square_then_sum", "sum_then_square"])
def test_reduction_of_groups(reduction):
    """Every score that squares by its definition, one sample at a time, dividing by f."""
    mask, x, sigma = torch.tensor([[0, 1, 0]]), draws(2, 3), draws(3, 3, seed=3)
    sigma = sigma @ sigma.T
    method = FunctionalInformation(
        lambda rows: (rows @ WEIGHT).tanh(), output="exp", covariance=DenseCovariance(sigma)
    )
    names, n = ("plain", "additive", "smoothgrad_sq", "vargrad"), 6
    found = method.scores(
        x, names=names, n_samples=n, feature_mask=mask, reduction=reduction, antithetic=False
    )
    law = method._noise(x, None, 0.15, "covariance", needs=True)
    points = law.points(slice(0, 2), slice(0, n), seed=0, paired=False).requires_grad_()
    f = (points @ WEIGHT).tanh().exp()
    (g,) = torch.autograd.grad(f.sum(), points)
    f, g = f.detach().view(n, 2, 1), g.view(n, 2, 3)
    members = torch.tensor([[1.0, 0, 1], [0, 1, 0]], dtype=torch.float64).T

    def reduced(left, right):
        if reduction == "sum_then_square":
            return (left @ members) * (right @ members)
        return (left * right) @ members

    expected = {
        "plain": (reduced(g, g) / f).mean(0),
        "additive": (reduced(g @ sigma, g) / f).mean(0),
        "smoothgrad_sq": reduced(g, g).mean(0),
        "vargrad": (g @ members).var(0),
    }
    for name in names:
        torch.testing.assert_close(found[name], expected[name][:, [0, 1, 0]])


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("call", ["attribute", "local_conditional"])
def test_one_scalar_for_several_examples_is_refused(call, shape):
    method = FunctionalInformation(
        lambda rows: (rows @ WEIGHT).sum().reshape(shape), output="exp", covariance=EYE
    )
    with pytest.raises(ValueError, match="model must return one value for each of 4 examples, got"):
        getattr(method, call)(draws(4, 3), n_samples=4)
    alone = getattr(method, call)(draws(1, 3), n_samples=4)
    torch.testing.assert_close(alone, getattr(linear(), call)(draws(1, 3), n_samples=4))


def test_noise_of_size_zero_is_told():
    x = draws(8, 3)
    x[[1, 2, 3, 4, 5, 7]] = 0.5
    for inputs, told in ((x, r"\[1, 2, 3, 4, 5\] and 1 more is 0"), (x[:2], r"\[1\] is 0")):
        with pytest.warns(PyxaiWarning, match="the noise around examples " + told) as found:
            scores = linear().attribute(inputs, score="vargrad", n_samples=8)
        assert len(found) == 1
        assert (scores[1] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (linear().attribute(x, score="vargrad", n_samples=8, noise="covariance") > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "a"}, "scale must be a number, got 'a'"),
        ({"scale": torch.tensor([0.1, 0.2])}, "scale must be a number, got a torch.float32 tensor"),
        ({"scale": 0.0}, "scale must be positive, got 0.0"),
        ({"scale": math.inf}, "scale must be finite, got inf"),
        ({"parity": "no"}, "parity must be True or False, got 'no'"),
        ({"relative": 1}, "relative must be True or False, got 1"),
        ({"return_error": "yes"}, "return_error must be True or False, got 'yes'"),
        ({"antithetic": 2}, "antithetic must be True or False, got 2"),
        ({"names": "plain"}, "names must be a sequence of names of scores, got 'plain'"),
        ({"names": ()}, "names must be a sequence of names of scores, got a tuple of 0"),
        ({"names": ("plain", "fancy")}, "score must be one of .*, got 'fancy'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        linear().scores(draws(1, 3), **{"names": ("plain",), "n_samples": 4, **options})
