"""Arguments of functional information: groups, precision and forms of the inputs."""

import pytest
import torch
from torch import nn

from pyxai.attribution import FunctionalInformation
from pyxai.covariance import DenseCovariance

WEIGHT = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear():
    eye = DenseCovariance(torch.eye(3, dtype=torch.float64))
    return FunctionalInformation(lambda rows: rows @ WEIGHT, output="exp", covariance=eye)


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
