import itertools

import pytest
import torch
from scipy import stats

from pyxai.ops import (
    permutation_prefixes,
    permutation_prefixes_reference,
    sample_permutations,
    sample_permutations_reference,
    unpack_masks,
)


def ids(*values, device="cpu"):
    return torch.tensor(values, dtype=torch.int64, device=device)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize(
    ("n_players", "n_permutations", "start"), [(1, 3, 0), (2, 0, 4), (7, 4, 3), (33, 3, 2**31)]
)
def test_equals_reference(backend, device, n_players, n_permutations, start, antithetic):
    row = {"seed": 2**63 + 11, "start": start, "antithetic": antithetic}
    names = ids(5, -1, device=device)
    actual = sample_permutations(
        n_players, n_permutations, example_ids=names, backend=backend, **row
    )
    reference = sample_permutations_reference(n_players, n_permutations, example_ids=names, **row)
    assert actual.dtype == torch.int32
    assert torch.equal(actual.cpu(), reference)


@pytest.mark.parametrize("antithetic", [False, True])
def test_rows_depend_on_their_names_only(backend, device, antithetic):
    row = {"seed": 1, "antithetic": antithetic, "backend": backend}
    whole = sample_permutations(9, 6, example_ids=ids(3, 1, 2, device=device), **row)
    part = sample_permutations(9, 2, example_ids=ids(2, 3, device=device), start=3, **row)
    assert torch.equal(part, whole[[2, 0], 3:5])


def test_antithetic_orders_are_reversed(backend, device):
    names = ids(0, 1, device=device)
    orders = sample_permutations(20, 6, seed=4, example_ids=names, antithetic=True, backend=backend)
    plain = sample_permutations(20, 6, seed=4, example_ids=names, backend=backend)
    assert torch.equal(orders[:, 1::2], orders[:, ::2].flip(-1))
    assert torch.equal(orders[:, ::2], plain[:, ::2])


def test_orders_are_uniform():
    orders = sample_permutations(4, 300, seed=0, example_ids=torch.arange(80)).flatten(0, 1)
    codes = orders @ torch.tensor([64, 16, 4, 1], dtype=torch.int32)
    counts = torch.bincount(codes, minlength=256)
    possible = [64 * a + 16 * b + 4 * c + d for a, b, c, d in itertools.permutations(range(4))]
    assert counts.sum() == counts[possible].sum() == 24_000
    # A fixed seed: a correct generator fails here with probability 1e-4 once and for all.
    assert stats.chisquare(counts[possible].numpy()).pvalue > 1e-4


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("n_players", [1, 31, 32, 33, 70])
def test_prefixes_equal_reference(backend, device, leading, n_players):
    generator = torch.Generator().manual_seed(0)
    orders = torch.rand((*leading, n_players), generator=generator).argsort(-1).to(torch.int32)
    actual = permutation_prefixes(orders.to(device), backend=backend)
    assert actual.shape == (*leading, n_players + 1, (n_players + 31) // 32)
    assert torch.equal(actual.cpu(), permutation_prefixes_reference(orders))


def test_prefixes_of_an_order(backend, device):
    orders = torch.tensor([2, 0, 1], dtype=torch.int32, device=device)
    masks = unpack_masks(permutation_prefixes(orders, backend=backend), 3)
    assert masks.int().tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]


def test_non_contiguous_orders(backend, device):
    orders = sample_permutations(6, 4, seed=0, example_ids=ids(0, 1)).to(device)
    strided = orders.transpose(0, 1)
    assert torch.equal(
        permutation_prefixes(strided, backend=backend),
        permutation_prefixes(orders, backend=backend).transpose(0, 1),
    )


def test_many_rows(backend, device):
    orders = sample_permutations(
        2, 70_000, seed=3, example_ids=ids(0, device=device), backend=backend
    )
    masks = permutation_prefixes(orders, backend=backend)
    assert torch.equal(masks[0, :, 1, 0], 1 << orders[0, :, 0])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_players": 0}, ValueError, "n_players must be at least 1, got 0"),
        ({"n_permutations": -2}, ValueError, "n_permutations must be at least 0, got -2"),
        ({"start": 2**32 - 1}, ValueError, r"start \+ n_permutations must be at most 2\*\*32, got"),
        ({"seed": None}, TypeError, "seed must be an integer, got None"),
        ({"example_ids": torch.ones(1)}, TypeError, "example_ids must have dtype torch.int64, got"),
    ],
)
def test_bad_input_is_named(changes, error, message):
    arguments = {"n_players": 3, "n_permutations": 2, "seed": 0, "example_ids": ids(1)} | changes
    with pytest.raises(error, match=message):
        sample_permutations(**arguments)


def test_bad_orders_are_named():
    with pytest.raises(TypeError, match=r"permutations must have dtype torch.int32, got"):
        permutation_prefixes(torch.arange(3))
    with pytest.raises(ValueError, match=r"permutations must be in 0..2, got values from 1 to 3"):
        permutation_prefixes(torch.tensor([1, 2, 3], dtype=torch.int32))
    with pytest.raises(ValueError, match=r"permutations must have at least one player, got shape"):
        permutation_prefixes(torch.zeros(2, 0, dtype=torch.int32))
