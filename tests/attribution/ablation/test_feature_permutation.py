"""Feature permutation against captum with a permutation of its own, and where ours come from."""

import captum.attr
import pytest
import torch
from torch import nn

from pyxai import PyxaiWarning
from pyxai.attribution import FeaturePermutation


def rows(batch=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 2, 8, 8, generator=generator, dtype=torch.float64)[:, 0, 0, :5]


def flat_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def test_permutation_equals_captum_with_a_function_of_ones_own():
    net, x = flat_net(), rows()
    flip = lambda values, mask: torch.where(mask, values.flip(0), values)  # noqa: E731
    mask = torch.tensor([[0, 0, 1, 2, 1]])
    for options in ({}, {"feature_mask": mask}):
        ours = FeaturePermutation(net, flip).attribute(x, target=2, **options)
        theirs = captum.attr.FeaturePermutation(net, flip).attribute(x, target=2, **options)
        torch.testing.assert_close(ours, theirs)


def test_permutations_come_from_the_seed():
    net, x = flat_net(), rows(6)
    explain = FeaturePermutation(net).attribute
    first = explain(x, target=1)
    assert torch.equal(first, explain(x, target=1))
    torch.testing.assert_close(explain(x, target=1, perturbations_per_eval=2), first)
    assert (first - explain(x, target=1, seed=1)).abs().max() > 1e-3
    # Each column is a shuffle of the batch, so an additive model loses nothing in the sum.
    additive = FeaturePermutation(lambda z: z.sum(1)).attribute(x)
    assert additive.sum(0).abs().max() < 1e-12
    pairs = FeaturePermutation(lambda z: z.sum(1)).attribute(x[:2])
    assert (pairs != 0).all()  # never the identity
    total = FeaturePermutation(lambda z: net(z).sum()).attribute(x)
    assert total.shape == (1, 5)


def test_one_example_gets_zeros_and_a_warning():
    with pytest.warns(PyxaiWarning, match="inputs have one example, so that no feature can be per"):
        found = FeaturePermutation(flat_net()).attribute(torch.ones(1, 5).double(), target=0)
    assert torch.equal(found, torch.zeros(1, 5).double())
    with pytest.warns(PyxaiWarning, match="inputs have one example"):
        found = FeaturePermutation(lambda a, b: a.sum() + b.sum()).attribute(
            (torch.ones(1, 2), torch.ones(1, 3)), feature_mask=(torch.tensor(0), torch.tensor(0))
        )
    assert [part.tolist() for part in found] == [[[0.0, 0.0]], [[0.0, 0.0, 0.0]]]


def test_samples_are_averaged():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    found = FeaturePermutation(lambda z: z.sum(1)).attribute(x, n_samples=4000)
    # The other rows of the batch are equally likely.
    expected = x - (x.sum(0) - x) / 4
    torch.testing.assert_close(found, expected, rtol=0, atol=0.08)
    one = FeaturePermutation(lambda z: z.sum(1)).attribute(x)
    few = FeaturePermutation(lambda z: z.sum(1)).attribute(x, n_samples=3)
    assert torch.equal(one, FeaturePermutation(lambda z: z.sum(1)).attribute(x, n_samples=1))
    assert (few - one).abs().max() > 1e-3
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        FeaturePermutation(lambda z: z.sum(1)).attribute(x, n_samples=0)
