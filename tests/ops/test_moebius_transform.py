import pytest
import torch
from backends import REQUIRED
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.ops import (
    moebius_transform,
    moebius_transform_reference,
    zeta_transform,
    zeta_transform_reference,
)

DTYPES = (torch.float32, torch.float64)
PAIRS = (
    (moebius_transform, moebius_transform_reference),
    (zeta_transform, zeta_transform_reference),
)


def table(n_players, *leading, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(n_players)
    drawn = torch.randn((*leading, 2**n_players), generator=generator, dtype=torch.float64)
    return drawn.to(device, dtype)


def butterfly(values, sign):
    """The transform in plain torch, player by player in the order of the kernels."""
    out = values.clone()
    n_players = values.shape[-1].bit_length() - 1
    for player in range(n_players):
        halves = out.view(*out.shape[:-1], 2 ** (n_players - 1 - player), 2, 2**player)
        halves[..., 1, :] += sign * halves[..., 0, :]
    return out


@pytest.mark.parametrize(("transform", "reference"), PAIRS, ids=["moebius", "zeta"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_players", [0, 1, 2, 3, 5, 8])
def test_equals_subset_sums(backend, device, transform, reference, dtype, n_players):
    values = table(n_players, 2, dtype=dtype, device=device)
    actual = transform(values, backend=backend).cpu()
    expected = reference(values.cpu())
    assert actual.dtype == dtype
    # Each of n steps rounds once; the intermediate sums are at most sqrt(2**n) large or so.
    size = values.abs().max().item() * 2 ** (n_players / 2)
    tolerance = torch.finfo(dtype).eps * n_players * size
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("transform", "reference"), PAIRS, ids=["moebius", "zeta"])
def test_ten_players_equal_subset_sums_exactly(transform, reference):
    # Integers: every sum is exact.
    values = table(10).mul(100).round()
    assert torch.equal(transform(values), reference(values))


@pytest.mark.parametrize(("transform", "sign"), [(moebius_transform, -1), (zeta_transform, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
# One below, at and above the tile of 12 players; tables that end within a tile; five of them.
@pytest.mark.parametrize(
    ("n_players", "n_tables"), [(3, 5), (10, 5), (11, 3), (12, 2), (13, 2), (15, 1)]
)
def test_equals_butterfly_bit_for_bit(backend, device, transform, sign, dtype, n_players, n_tables):
    values = table(n_players, n_tables, dtype=dtype, device=device)
    actual = transform(values, backend=backend)
    assert torch.equal(actual, butterfly(values, sign))


# Every number of players that passes beyond the first tile can take, and two such passes.
@pytest.mark.parametrize("n_players", [16, 17, 18, 19, 20, 21, 22])
def test_large_tables(n_players):
    values = table(n_players, dtype=torch.float32)
    assert torch.equal(moebius_transform(values), butterfly(values, -1))


# Without the reversed order of threads, which takes the host run as long again.
@pytest.mark.parametrize("backend", REQUIRED)
def test_many_rows_take_two_passes_beyond_the_tile(backend):
    values = table(21, dtype=torch.float32, device="cuda" if backend == "cuda" else "cpu")
    assert torch.equal(zeta_transform(values, backend=backend), butterfly(values, 1))


@settings(deadline=None, max_examples=50)
@given(data=st.data(), n_players=st.integers(0, 7))
def test_zeta_undoes_moebius(data, n_players):
    # Integers: every sum is exact, so the identity is too.
    numbers = st.integers(-1000, 1000)
    drawn = data.draw(st.lists(numbers, min_size=2**n_players, max_size=2**n_players))
    values = torch.tensor(drawn, dtype=torch.float64)
    assert torch.equal(zeta_transform(moebius_transform(values)), values)
    assert torch.equal(moebius_transform(zeta_transform(values)), values)


def test_dividends_of_a_product(backend, device):
    # v(S) = 3 [0 in S] [2 in S] + 5 [1 in S] + 7: one dividend per term.
    sets = torch.arange(8, device=device)
    values = 3.0 * (sets & 5 == 5) + 5.0 * (sets & 2 == 2) + 7.0
    expected = torch.zeros(8, device=device)
    expected[0], expected[2], expected[5] = 7, 5, 3
    assert torch.equal(moebius_transform(values, backend=backend), expected)


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 4), (2, 3, 16), (1,)])
def test_leading_axes(backend, device, shape):
    values = torch.arange(torch.Size(shape).numel(), dtype=torch.float64, device=device)
    values = values.reshape(shape)
    actual = moebius_transform(values, backend=backend)
    assert actual.shape == shape
    assert torch.equal(actual, butterfly(values, -1))


@pytest.mark.parametrize("n_players", [4, 13])
def test_in_place(backend, device, n_players):
    values = table(n_players, 2, device=device)
    expected = moebius_transform(values, backend=backend)
    result = moebius_transform(values, inplace=True, backend=backend)
    assert result is values or result.data_ptr() == values.data_ptr()
    assert torch.equal(values, expected)


@pytest.mark.parametrize("inplace", [False, True])
def test_non_contiguous_tables(backend, device, inplace):
    values = table(4, 3, device=device).t().contiguous().t()
    assert not values.is_contiguous()
    before = values.clone()
    result = zeta_transform(values, inplace=inplace, backend=backend)
    assert torch.equal(result, butterfly(before, 1))
    assert torch.equal(values, result if inplace else before)


def test_not_a_number_reaches_supersets_only(backend, device):
    values = table(4, device=device)
    values[5] = torch.nan
    bad = moebius_transform(values, backend=backend).isnan()
    assert torch.equal(bad.cpu(), torch.arange(16) & 5 == 5)


@pytest.mark.parametrize("transform", [moebius_transform, zeta_transform])
def test_bad_input_is_named(transform):
    with pytest.raises(TypeError, match=r"values must be a tensor, got a list of 2 item"):
        transform([1.0, 2.0])
    with pytest.raises(TypeError, match=r"values must have dtype torch.float32 or torch.float64"):
        transform(torch.zeros(4, dtype=torch.bfloat16))
    with pytest.raises(
        ValueError, match=r"values must have 2\*\*n_players entries along the last axis, got shape"
    ):
        transform(torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"got shape \[\]"):
        transform(torch.zeros(()))
    with pytest.raises(ValueError, match=r"got shape \[2, 0\]"):
        transform(torch.zeros(2, 0))
    huge = torch.zeros(1, dtype=torch.float64).expand(2**27)  # takes no memory
    with pytest.raises(
        ValueError,
        match=r"values must have at most 2\*\*26 entries a table, got 2\*\*27 \(1 GiB in torch.flo",
    ):
        transform(huge)
