"""Standard errors and running moments of functional information, at any size of the output."""

import math

import pytest
import torch

from pyxai._errors import PyxaiWarning
from pyxai.attribution import FunctionalInformation
from pyxai.attribution.sampled.functional_information.running import Moments
from pyxai.covariance import DenseCovariance

EYE = DenseCovariance(torch.eye(3, dtype=torch.float64))
SLOPE = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sizes", [[50], [1, 49], [20, 7, 1, 22]], ids=str)
@pytest.mark.parametrize("centre", [0.0, 1e6])
def test_moments_of_parts_are_those_of_the_whole(sizes, centre):
    """Samples of a skewed law, in units that change between the parts."""
    values = centre + draws(50, 2, 3).exp()
    moments, index = Moments((2, 3), 4, values.device), (torch.arange(2),)
    counts, factor = torch.zeros(2, 1, dtype=torch.float64), 1.0
    for part in values.split(sizes):
        factor /= 2
        moments.scale(index, torch.tensor(0.5, dtype=torch.float64).log())
        moments.add(index, counts, part * factor)
        counts += len(part)
    (mean, mean_error), (variance, error) = moments.mean(counts), moments.variance(counts)
    torch.testing.assert_close(mean / factor, values.mean(0))
    torch.testing.assert_close(mean_error / factor, (values.var(0) / 50).sqrt())
    torch.testing.assert_close(variance / factor**2, values.var(0))
    fourth = (values - values.mean(0)).pow(4).mean(0)
    expected = ((fourth - values.var(0).square() * 47 / 49) / 50).sqrt()
    torch.testing.assert_close(error / factor**2, expected)


def test_errors_of_variances_cover_the_variances():
    """grad f = cos x: no variance of a normal law, whose errors would be 1.3 and 0.6 of these."""
    method = FunctionalInformation(
        lambda rows: 10 + rows.sin().sum(1), covariance=EYE, output="identity"
    )
    cosine = [math.exp(-k * k / 2) for k in range(5)]  # E cos(k x), x ~ N(0, 1)
    second, fourth = (1 + cosine[2]) / 2, (3 + 4 * cosine[2] + cosine[4]) / 8
    expected = {"vargrad": second - cosine[1] ** 2, "vargrad_sq": fourth - second**2}
    x, options = torch.zeros(1, 3, dtype=torch.float64), {"noise": "covariance", "scale": 1.0}
    found = {name: [] for name in expected}
    for seed in range(80):
        scores = method.scores(
            x, names=tuple(expected), n_samples=1000, seed=seed, return_error=True, **options
        )
        for name, (score, error) in scores.items():
            found[name].append((score - expected[name]) / error)
    for name, each in found.items():
        z = torch.cat(each).flatten()
        assert 0.85 < z.std() < 1.15, name  # 240 draws: 3.3 standard errors
        assert abs(z.mean()) < 0.3, name


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_variance_of_gradients_that_hardly_vary(rows):
    """Gradients of 1e6 whose variance is 1e-8 of 1."""

    def f(x):
        return 1e6 * x.sum(1) + 1e-3 * x.sin().sum(1)

    x, n = torch.full((1, 3), 10.0, dtype=torch.float64), 40
    options = {"noise": "covariance", "scale": 0.01, "n_samples": n}
    method = FunctionalInformation(f, covariance=EYE, output="identity")
    found, error = method.attribute(
        x, score="vargrad", return_error=True, internal_batch_size=rows, **options
    )
    law = method._noise(x, None, 0.01, "covariance", needs=True)
    points = law.points(slice(0, 1), slice(0, n), seed=0, paired=False)
    small = 1e-3 * points.cos()
    torch.testing.assert_close(found[0], small.var(0), rtol=1e-3, atol=0)
    assert (found < 1e-7).all()
    assert (error < found).all()


def tilted(offset):
    return FunctionalInformation(
        lambda rows: (rows @ SLOPE.to(rows.dtype)).tanh() + offset, covariance=EYE, output="exp"
    )


@pytest.mark.parametrize("rows", [1, 5, 100])
@pytest.mark.parametrize("offset", [-380.0, 0.0, 690.0])
def test_local_scores_and_errors_of_any_output(offset, rows):
    """f^2 is no float64 any more, f and its scores still are."""
    x, options = draws(2, 3), {"n_samples": 8, "return_error": True}
    expected = tilted(0.0).local_conditional(x, **options)
    found = tilted(offset).local_conditional(x, internal_batch_size=rows, **options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one / math.exp(offset), other, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_local_scores_over_the_mean(dtype):
    """Only one feature varies: of f = exp(a'x) the score is a_i^2 times the mean, exactly."""
    x = draws(2, 3).to(dtype)
    for offset in (-900.0, 0.0, 900.0):
        method = FunctionalInformation(
            lambda rows, b=offset: rows @ SLOPE.to(rows.dtype) + b, covariance=EYE, output="exp"
        )
        found = method.local_conditional(x, n_samples=4, relative=True)
        expected = SLOPE.square().to(dtype).expand(2, 3)
        torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="return_error must be False with relative=True, got True"):
        method.local_conditional(x, n_samples=4, relative=True, return_error=True)


def test_local_scores_and_entropies_that_became_zero_are_told():
    for call in ("local_conditional", "entropy"):
        with pytest.warns(PyxaiWarning, match="scores of 2 examples are too small for torch.float"):
            getattr(tilted(-900.0), call)(draws(2, 3), n_samples=4)
    for call in ("local_conditional", "attribute"):  # once, not for the errors again
        with pytest.warns(PyxaiWarning) as told:
            getattr(tilted(-200.0), call)(draws(2, 3).float(), n_samples=4, return_error=True)
        assert len(told) == 1


def test_entropy_over_the_mean():
    x = draws(2, 3)
    absolute = tilted(0.0).entropy(x, n_samples=200)
    for offset in (-900.0, 0.0, 900.0):
        found = tilted(offset).entropy(x, n_samples=200, relative=True)
        torch.testing.assert_close(found.entropy, absolute.entropy / absolute.mean)
        torch.testing.assert_close(found.bound, absolute.bound / absolute.mean)
    torch.testing.assert_close(
        absolute.mean, tilted(0.0).entropy(x, relative=True, n_samples=200).mean
    )


def test_errors_of_the_entropy_over_the_mean():
    """f = exp(a'x): Ent f = scale |a|^2 E f / 2, and information over the mean does not vary."""
    method = FunctionalInformation(lambda rows: rows @ SLOPE, covariance=EYE, output="exp")
    exact = 0.3 * SLOPE.square().sum()
    z = []
    for seed in range(120):
        found = method.entropy(draws(1, 3), scale=0.3, n_samples=500, seed=seed, relative=True)
        z.append((found.entropy - exact / 2) / found.entropy_error)
        torch.testing.assert_close(found.information[0], exact)
        assert found.information_error < 1e-12
    assert 0.8 < torch.cat(z).std() < 1.2  # 3 standard errors


@pytest.mark.parametrize("bound", [None, 7])
def test_errors_of_pairs_are_those_of_the_mean_of_pairs(bound):
    """The square of a slope is the same at both ends of a pair: half as many samples count."""
    method = FunctionalInformation(lambda rows: rows[:, 0].cosh().log(), output="exp")
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[:, 1] = torch.tensor([1.0, 2.0])  # so that the noise is not 0
    runs = [
        method.attribute(x, n_samples=30, seed=s, return_error=True, internal_batch_size=bound)
        for s in range(150)
    ]
    scores, errors = (torch.stack(parts)[:, :, 0] for parts in zip(*runs, strict=True))
    ratio = errors.mean(0) / scores.std(0)
    assert ((ratio > 0.75) & (ratio < 1.25)).all(), ratio  # independent ones would say 0.7
    plain = method.attribute(x, n_samples=30, seed=0, internal_batch_size=bound)
    torch.testing.assert_close(runs[0][0], plain, rtol=1e-12, atol=1e-15)
    whole = method.attribute(x, n_samples=30, seed=0, return_error=True)
    torch.testing.assert_close(runs[0][1], whole[1], rtol=1e-9, atol=1e-15)
    with pytest.warns(PyxaiWarning, match="^n_samples=2 leaves standard errors infinite"):
        single = method.attribute(x, n_samples=2, return_error=True)[1]
    assert single.isinf().all()
