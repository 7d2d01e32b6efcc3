import itertools
import math

import pytest
import torch
from scipy import stats

from pyxai.ops import (
    permutation_prefixes,
    sample_coalitions,
    sample_coalitions_reference,
    sample_permutations,
    shapley_kernel_size_weights,
    unpack_masks,
)

# A fixed seed: a correct generator falls below with this probability, once and for all.
RARE = 1e-4


def ids(*values, device="cpu"):
    return torch.tensor(values, dtype=torch.int64, device=device)


LAWS = {
    "half": {},
    "quarter": {"probability": 0.25},
    "odd": {"probability": 0.7},
    "never": {"probability": 0.0},
    "always": {"probability": 1.0},
    "small": {"law": "fixed_size", "size": 1},
    "large": {"law": "fixed_size", "size": -2},
    "kernel": {"law": "kernel"},
    "permutation": {"law": "permutation"},
}


def law_for(name, n_players):
    law = dict(LAWS[name])
    if "size" in law:
        law["size"] %= n_players + 1
    return law


@pytest.mark.parametrize("paired", [False, True], ids=["single", "paired"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n_players", "start"), [(2, 0), (31, 5), (32, 2**30), (70, 1)])
def test_equals_reference(backend, device, law, n_players, start, paired):
    row = {"seed": 2**64 - 7, "start": start, "paired": paired} | law_for(law, n_players)
    names = ids(5, -(2**40), device=device)
    actual = sample_coalitions(n_players, 5, example_ids=names, backend=backend, **row)
    reference = sample_coalitions_reference(n_players, 5, example_ids=names, **row)
    assert actual.shape == (2, 5, (n_players + 31) // 32)
    assert actual.dtype == torch.int32
    assert torch.equal(actual.cpu(), reference)


@pytest.mark.parametrize("law", ["half", "small", "permutation"])
@pytest.mark.parametrize(("batch", "n_samples"), [(0, 3), (2, 0)])
def test_empty(backend, device, law, batch, n_samples):
    names = torch.arange(batch, device=device)
    masks = sample_coalitions(
        40, n_samples, seed=0, example_ids=names, backend=backend, **law_for(law, 40)
    )
    assert masks.shape == (batch, n_samples, 2)


@pytest.mark.parametrize("paired", [False, True], ids=["single", "paired"])
@pytest.mark.parametrize("law", LAWS)
def test_rows_depend_on_their_names_only(backend, device, law, paired):
    row = {"seed": 1, "paired": paired, "backend": backend} | law_for(law, 10)
    whole = sample_coalitions(10, 30, example_ids=ids(3, 1, 2, device=device), **row)
    part = sample_coalitions(10, 9, example_ids=ids(2, 3, device=device), start=13, **row)
    assert torch.equal(part, whole[[2, 0], 13:22])


@pytest.mark.parametrize("law", ["half", "odd", "small", "large", "kernel"])
def test_pairs_are_complements(backend, device, law):
    row = {"seed": 1, "example_ids": ids(3, 1, device=device), "backend": backend}
    row |= law_for(law, 35)
    masks = unpack_masks(sample_coalitions(35, 8, paired=True, **row), 35)
    single = unpack_masks(sample_coalitions(35, 8, **row), 35)
    assert torch.equal(masks[:, 1::2], ~masks[:, ::2])
    assert torch.equal(masks[:, ::2], single[:, ::2])


def test_permutation_law_walks_the_orders(backend, device):
    row = {"seed": 3, "example_ids": ids(1, 2, device=device), "backend": backend}
    masks = sample_coalitions(4, 10, law="permutation", **row)
    orders = sample_permutations(4, 2, **row)
    assert torch.equal(masks, permutation_prefixes(orders, backend=backend).flatten(1, 2))


def draw(n_players, n_samples, **law):
    """``[rows, n_players]`` of many examples."""
    masks = sample_coalitions(n_players, n_samples, seed=0, example_ids=torch.arange(100), **law)
    return unpack_masks(masks, n_players).flatten(0, 1)


@pytest.mark.parametrize("probability", [0.5, 0.25, 0.7, 1e-3])
def test_bernoulli_is_unbiased_and_independent(probability):
    masks = draw(40, 500, probability=probability).double()
    n_rows = len(masks)
    for total in masks.sum(0).tolist():
        assert stats.binomtest(round(total), n_rows, probability).pvalue > RARE / 40
    first, second = torch.triu_indices(40, 40, 1)
    together = (masks.T @ masks).round()[first, second].numpy()
    tails = [stats.binom.cdf(together, n_rows, probability**2)]
    tails.append(stats.binom.sf(together - 1, n_rows, probability**2))
    assert min(tail.min() for tail in tails) > RARE / 780


@pytest.mark.parametrize("size", range(6))
def test_subsets_of_a_size_are_uniform(size):
    masks = draw(5, 200, law="fixed_size", size=size)
    assert (masks.sum(1) == size).all()
    counts = torch.bincount(masks.long() @ (2 ** torch.arange(5)), minlength=32)
    possible = [sum(2**i for i in subset) for subset in itertools.combinations(range(5), size)]
    assert counts[possible].sum() == len(masks)
    if len(possible) > 1:
        assert stats.chisquare(counts[possible].numpy()).pvalue > RARE


def test_players_of_large_subsets_are_uniform():
    masks = draw(200, 50, law="fixed_size", size=60)
    counts = masks.sum(0)
    # Inclusions of one row are negatively correlated: variance p (1 - p) per player, rank n - 1.
    expected = len(masks) * 0.3
    statistic = ((counts - expected) ** 2).sum() / (expected * 0.7) * 199 / 200
    assert stats.chi2.sf(float(statistic), 199) > RARE


@pytest.mark.parametrize("n_players", [2, 3, 12, 50])
def test_kernel_sizes(n_players):
    sizes = draw(n_players, 200, law="kernel").sum(1)
    weights = shapley_kernel_size_weights(n_players)
    assert weights[0] == weights[-1] == 0
    counts = torch.bincount(sizes, minlength=n_players + 1)
    assert counts[0] == counts[-1] == 0
    if n_players > 2:
        expected = (weights / weights.sum() * len(sizes))[1:-1]
        assert stats.chisquare(counts[1:-1].numpy(), expected.numpy()).pvalue > RARE


def test_kernel_weight_of_a_coalition():
    # Equation of the Shapley kernel for one coalition, times the number of coalitions of its size.
    weights = shapley_kernel_size_weights(6)
    for size in range(1, 6):
        one = 5 / (math.comb(6, size) * size * (6 - size))
        assert float(weights[size]) == pytest.approx(one * math.comb(6, size), rel=1e-15)


def test_given_size_weights():
    weights = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    sizes = draw(5, 200, law="kernel", size_weights=weights).sum(1)
    counts = torch.bincount(sizes, minlength=6)
    assert counts[[1, 4, 5]].sum() == 0
    assert stats.chisquare(counts[[0, 2, 3]].numpy(), [5000, 10000, 5000]).pvalue > RARE


def test_sizes_of_samples(backend, device):
    row = {"seed": 1, "example_ids": ids(3, 1, device=device), "backend": backend}
    sizes = torch.tensor([0, 7, 3, 4, 2], device=device)
    masks = sample_coalitions(7, 5, law="fixed_size", size=sizes, **row)
    assert torch.equal(unpack_masks(masks, 7).sum(-1), sizes.expand(2, 5))
    one = sample_coalitions(7, 1, law="fixed_size", size=3, start=2, **row)
    assert torch.equal(one, masks[:, 2:3])
    each = torch.stack([sizes, sizes.flip(0)])
    masks = sample_coalitions(7, 5, law="fixed_size", size=each, **row)
    assert torch.equal(unpack_masks(masks, 7).sum(-1), each)
    paired = sample_coalitions(7, 4, law="fixed_size", size=sizes[:4], paired=True, start=6, **row)
    assert torch.equal(unpack_masks(paired, 7).sum(-1), sizes[:4].expand(2, 4))


def test_probabilities_of_samples(backend, device):
    row = {"seed": 1, "example_ids": ids(3, 1, device=device), "backend": backend}
    probabilities = torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64, device=device)
    masks = sample_coalitions(50, 3, probability=probabilities, **row)
    for s, probability in enumerate((0.0, 1.0, 0.3)):
        one = sample_coalitions(50, 1, probability=probability, start=s, **row)
        assert torch.equal(one, masks[:, s : s + 1])


def test_device_argument():
    masks = sample_coalitions(5, 2, seed=0, example_ids=ids(0), device="cpu")
    assert masks.device.type == "cpu"


def test_many_rows(backend, device):
    names = torch.arange(70_000, device=device)
    masks = sample_coalitions(
        3, 1, seed=3, example_ids=names, law="fixed_size", size=1, backend=backend
    )
    last = sample_coalitions(3, 1, seed=3, example_ids=names[-1:], law="fixed_size", size=1)
    assert torch.equal(masks[-1:].cpu(), last)
    assert set(masks.flatten().tolist()) == {1, 2, 4}


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_players": 0}, ValueError, "n_players must be at least 1, got 0"),
        ({"n_players": 2**31}, ValueError, r"n_players must be less than 2\*\*31, got 2147483648"),
        ({"n_samples": 2.0}, TypeError, "n_samples must be an integer, got 2.0"),
        ({"law": "uniform"}, ValueError, "law must be one of 'bernoulli', 'fixed_size', 'kernel'"),
        ({"size": 2}, ValueError, "size must be left out for law 'bernoulli', got one"),
        ({"law": "kernel", "probability": 0.2}, ValueError, "probability must be left out for law"),
        ({"law": "fixed_size"}, ValueError, "size must be given for law 'fixed_size', got None"),
        ({"law": "fixed_size", "size": 4}, ValueError, "size must be at most n_players = 3, got 4"),
        ({"law": "fixed_size", "size": -1}, ValueError, "size must be at least 0, got -1"),
        (
            {"law": "fixed_size", "size": torch.tensor([1, 4])},
            ValueError,
            "size must be in 0..3, got values from 1 to 4",
        ),
        (
            {"law": "fixed_size", "size": torch.tensor([1, 1]), "paired": True},
            ValueError,
            "size must be 3 minus the size before it at odd samples with paired=True, got",
        ),
        (
            {"law": "fixed_size", "size": torch.tensor([1])},
            ValueError,
            r"size must have shape \[2\], got \[1\]",
        ),
        ({"law": "fixed_size", "size": doubles(1, 2)}, TypeError, "size must have dtype torch.int"),
        ({"probability": 1.5}, ValueError, r"probability must be in \[0, 1\], got 1.5"),
        ({"probability": math.nan}, ValueError, r"probability must be in \[0, 1\], got nan"),
        ({"probability": "x"}, TypeError, "probability must be a number or a tensor, got 'x'"),
        ({"probability": doubles(0, 2)}, ValueError, r"probability must be in \[0, 1\], got value"),
        ({"probability": doubles(0, math.nan)}, ValueError, "probability must be finite, got 1"),
        (
            {"probability": doubles(0, 1), "paired": True},
            ValueError,
            "probability must be a number with paired=True, got a torch.float64 tensor",
        ),
        ({"law": "kernel", "n_players": 1}, ValueError, "n_players must be at least 2 for the Sha"),
        (
            {"law": "kernel", "size_weights": doubles(1, 1)},
            ValueError,
            r"size_weights must have shape \[4\], got \[2\]",
        ),
        (
            {"law": "kernel", "size_weights": doubles(1, -1, 0, 0)},
            ValueError,
            "size_weights must be at least 0 and not all 0, got a minimum of -1",
        ),
        (
            {"law": "kernel", "size_weights": torch.ones(4)},
            TypeError,
            "size_weights must have dtype torch.float64, got torch.float32",
        ),
    ],
)
def test_bad_input_is_named(changes, error, message):
    arguments = {"n_players": 3, "n_samples": 2, "seed": 0, "example_ids": ids(1)} | changes
    with pytest.raises(error, match=message):
        sample_coalitions(**arguments)
