import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.ops import (
    INTERACTION_INDICES,
    interaction_indices_from_table,
    interaction_indices_from_table_reference,
    pair_interactions_from_table,
    shapley_values_from_table,
)
from pyxai.ops.interaction_indices import dividend_weight

DTYPES = (torch.float32, torch.float64)


def table(n_players, *leading, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(n_players)
    drawn = torch.randn((*leading, 2**n_players), generator=generator, dtype=torch.float64)
    return drawn.to(device, dtype)


def subsets(n_players, largest=None):
    """Masks by size, then in order of their players."""
    sizes = range((n_players if largest is None else largest) + 1)
    return [
        sum(1 << i for i in chosen)
        for size in sizes
        for chosen in itertools.combinations(range(n_players), size)
    ]


def derivative(values, chosen, others):
    """Discrete derivative of the game with respect to `chosen` at `others`."""
    total, part = 0.0, chosen
    while True:
        total += (-1) ** (chosen ^ part).bit_count() * values[others | part]
        if part == 0:
            return total
        part = (part - 1) & chosen


# The definitions in the papers, as weights of the derivative at t other players.
def mean_weight(index, n, s, t, order):
    if index == "shapley_interaction":
        return math.factorial(t) * math.factorial(n - s - t) / math.factorial(n - s + 1)
    if index == "banzhaf_interaction":
        return 2.0 ** (s - n)
    if index == "co_moebius":
        return float(t == n - s)
    if index == "shapley_taylor" and s == order:
        return order / n / math.comb(n - 1, t)
    return float(t == 0)  # the dividend


def by_definition(values, order, index):
    n = len(values).bit_length() - 1
    if index.startswith("faith"):
        return by_regression(values, order, index)
    found = []
    for chosen in subsets(n, order):
        s, total = chosen.bit_count(), 0.0
        for others in range(2**n):
            if others & chosen == 0:
                weight = mean_weight(index, n, s, others.bit_count(), order)
                total += weight * derivative(values, chosen, others)
        found.append(total)
    return np.array(found)


def by_regression(values, order, index):
    """The best polynomial of degree `order`: least squares over all coalitions."""
    n = len(values).bit_length() - 1
    sets = np.array(subsets(n, order))
    coalitions = np.arange(2**n)
    design = ((coalitions[:, None] & sets) == sets).astype(float)
    if index == "faith_banzhaf":
        return np.linalg.lstsq(design, values, rcond=None)[0]
    # Faith-Shap: exact at the empty and the full coalition, Shapley kernel weights between.
    ends = [0, 2**n - 1]
    between = np.setdiff1d(coalitions, ends)
    sizes = np.array([int(m).bit_count() for m in between])
    kernel = np.array([(n - 1) / (math.comb(n, s) * s * (n - s)) for s in sizes])
    gram = design[between].T @ (kernel[:, None] * design[between])
    right = design[between].T @ (kernel * values[between])
    system = np.block([[gram, design[ends].T], [design[ends], np.zeros((2, 2))]])
    return np.linalg.lstsq(system, np.concatenate([right, values[ends]]), rcond=None)[0][
        : len(sets)
    ]


CASES = [
    (index, n, order)
    for index in INTERACTION_INDICES
    for n, order in [(1, 1), (2, 1), (3, 2), (5, 2), (5, 3), (5, 5), (6, 4)]
]


@pytest.mark.parametrize(("index", "n_players", "order"), CASES)
def test_equals_definition(index, n_players, order):
    values = table(n_players)
    found = interaction_indices_from_table(values, order, index)
    assert found.sets.tolist() == subsets(n_players, order)
    expected = by_definition(values.numpy(), order, index)
    if index.startswith("shapley_t") or index.startswith("faith"):
        assert found.values.shape == expected.shape
    np.testing.assert_allclose(found.values.numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("index", INTERACTION_INDICES)
def test_equals_reference(backend, device, index):
    values = table(5, 2, device=device)
    found = interaction_indices_from_table(values, 3, index, backend=backend)
    reference = interaction_indices_from_table_reference(values.cpu(), 3, index)
    assert torch.equal(found.sets.cpu(), reference.sets)
    torch.testing.assert_close(found.values.cpu(), reference.values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_players", [0, 1, 2, 3, 7, 13])
def test_shapley_values(backend, device, dtype, n_players):
    values = table(n_players, 2, dtype=dtype, device=device)
    actual = shapley_values_from_table(values, backend=backend)
    assert actual.shape == (2, n_players)
    assert actual.dtype == dtype
    expected = torch.zeros(2, n_players, dtype=torch.float64)
    sets = torch.arange(2**n_players)
    sizes = sum((sets >> i & 1 for i in range(n_players)), torch.zeros_like(sets))
    for player in range(n_players):
        without = sets[sets >> player & 1 == 0]
        weights = torch.tensor(
            [1 / (n_players * math.comb(n_players - 1, int(t))) for t in sizes[without]],
            dtype=torch.float64,
        )
        gains = values[:, without | 1 << player].double() - values[:, without].double()
        expected[:, player] = gains.cpu() @ weights
    epsilon = torch.finfo(dtype).eps
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=0, atol=16 * epsilon)
    gain = (values[:, -1] - values[:, 0]).double() if n_players else values.new_zeros(2).double()
    torch.testing.assert_close(actual.double().sum(1), gain, rtol=0, atol=64 * epsilon)


def test_shapley_values_by_permutations():
    values = table(5)
    expected = torch.zeros(5, dtype=torch.float64)
    for order in itertools.permutations(range(5)):
        present = 0
        for player in order:
            expected[player] += values[present | 1 << player] - values[present]
            present |= 1 << player
    torch.testing.assert_close(
        shapley_values_from_table(values), expected / 120, rtol=0, atol=1e-15
    )


PAIR_CASES = [(index, n) for index in INTERACTION_INDICES for n in (1, 2, 3, 7)]


@pytest.mark.parametrize(("index", "n_players"), [*PAIR_CASES, ("shapley_interaction", 13)])
def test_pair_interactions(backend, device, index, n_players):
    values = table(n_players, 2, device=device)
    actual = pair_interactions_from_table(values, index, backend=backend).cpu()
    assert torch.equal(actual, actual.transpose(1, 2))
    order = min(2, n_players)
    # Of one player there is no pair; the singles are still those of order 2.
    if n_players == 1:
        torch.testing.assert_close(actual[:, 0, 0], (values[:, 1] - values[:, 0]).cpu())
        return
    found = interaction_indices_from_table(values.cpu(), order, index).values
    i, j = torch.triu_indices(n_players, n_players, 1)
    diagonal = actual.diagonal(dim1=1, dim2=2)
    # The dividends lose digits, see the docstring.
    tolerance = 1e-15 * 2 ** (n_players / 2) * max(8.0, float(found.abs().max()))
    torch.testing.assert_close(diagonal, found[:, 1 : 1 + n_players], rtol=0, atol=tolerance)
    torch.testing.assert_close(actual[:, i, j], found[:, 1 + n_players :], rtol=0, atol=tolerance)


def test_pairs_of_no_players():
    assert pair_interactions_from_table(torch.zeros(3, 1)).shape == (3, 0, 0)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("index", ["shapley_taylor", "faith_shap"])
def test_efficient_indices_add_up(index, order):
    values = table(6, 4)
    found = interaction_indices_from_table(values, order, index).values
    torch.testing.assert_close(found.sum(1), values[:, -1])
    torch.testing.assert_close(found[:, 0], values[:, 0])


@pytest.mark.parametrize("index", INTERACTION_INDICES)
def test_order_one_is_the_value_of_the_family(index):
    values = table(6)
    singles = interaction_indices_from_table(values, 1, index).values[1:]
    shapley = interaction_indices_from_table(values, 1, "shapley_interaction").values[1:]
    banzhaf = interaction_indices_from_table(values, 1, "banzhaf_interaction").values[1:]
    if index in ("shapley_interaction", "shapley_taylor", "faith_shap"):
        torch.testing.assert_close(singles, shapley)
        torch.testing.assert_close(singles, shapley_values_from_table(values))
    if index in ("banzhaf_interaction", "faith_banzhaf"):
        torch.testing.assert_close(singles, banzhaf)


@settings(deadline=None, max_examples=30)
@given(data=st.data(), n_players=st.integers(2, 6), index=st.sampled_from(INTERACTION_INDICES))
def test_axioms(data, n_players, index):
    numbers = st.floats(-8, 8, allow_subnormal=False)
    draw = st.lists(numbers, min_size=2 ** (n_players - 1), max_size=2 ** (n_players - 1))
    game = torch.tensor(data.draw(draw), dtype=torch.float64)
    other = torch.tensor(data.draw(draw), dtype=torch.float64)
    # The last player adds a constant to every coalition: it takes part in no interaction.
    with_dummy = torch.cat([game, game + 3])
    pairs = pair_interactions_from_table(with_dummy, index)
    assert (pairs[-1, :-1].abs() < 1e-9).all()
    assert abs(pairs[-1, -1] - 3) < 1e-9
    # Linearity.
    torch.testing.assert_close(
        pair_interactions_from_table(2 * game - other, index),
        2 * pair_interactions_from_table(game, index) - pair_interactions_from_table(other, index),
        rtol=0,
        atol=1e-9,
    )
    # Symmetry: exchanging players 0 and 1 exchanges their rows.
    sets = torch.arange(len(game))
    swapped = sets & ~3 | (sets & 1) << 1 | sets >> 1 & 1 if n_players > 2 else sets
    exchanged = pair_interactions_from_table(game[swapped], index)
    order = [1, 0, *range(2, n_players - 1)] if n_players > 2 else list(range(n_players - 1))
    torch.testing.assert_close(
        exchanged, pair_interactions_from_table(game, index)[order][:, order], rtol=0, atol=1e-9
    )


def test_product_of_two_players():
    # v(S) = 6 [1 in S][2 in S]: one interaction of 6, shared by halves.
    values = 6.0 * (torch.arange(16) & 6 == 6)
    assert shapley_values_from_table(values).tolist() == [0, 3, 3, 0]
    pairs = pair_interactions_from_table(values, "shapley_interaction")
    assert pairs[1, 2] == pairs[2, 1] == 6
    assert pairs.abs().sum() == 18


def test_weights_of_dividends_are_exact():
    assert dividend_weight("shapley_interaction", 4, 2, 2) * 3 == 1
    assert dividend_weight("shapley_taylor", 4, 2, 2) * 6 == 1
    assert dividend_weight("banzhaf_interaction", 4, 2, 2) * 4 == 1
    with pytest.raises(ValueError, match=r"s must be in 0..2, got 3"):
        dividend_weight("moebius", 4, 3, 2)


def test_bad_input_is_named():
    values = torch.zeros(8)
    with pytest.raises(ValueError, match=r"index must be one of 'moebius', 'co_moebius', .* 'sii'"):
        pair_interactions_from_table(values, "sii")
    with pytest.raises(ValueError, match=r"order must be at most n_players = 3, got 4"):
        interaction_indices_from_table(values, 4)
    with pytest.raises(ValueError, match=r"order must be at least 1, got 0"):
        interaction_indices_from_table(values, 0, "faith_shap")
    with pytest.raises(TypeError, match=r"order must be an integer, got 1.5"):
        interaction_indices_from_table(values, 1.5)
    for function in (shapley_values_from_table, pair_interactions_from_table):
        with pytest.raises(ValueError, match=r"values must have 2\*\*n_players entries along the"):
            function(torch.zeros(2, 3))
        with pytest.raises(TypeError, match=r"values must have dtype torch.float32 or torch.float"):
            function(torch.zeros(4, dtype=torch.int64))
