"""Feature permutation against captum with a permutation of its own, and where ours come from."""

import captum.attr
import pytest
import torch
from torch import nn

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


def test_one_example_cannot_be_permuted():
    with pytest.raises(ValueError, match="inputs must have at least 2 examples to permute, got 1"):
        FeaturePermutation(flat_net()).attribute(torch.ones(1, 5).double(), target=0)
