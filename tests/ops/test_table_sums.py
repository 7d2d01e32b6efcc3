import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import table_sums, table_sums_reference

DTYPES = (torch.float32, torch.float64)


def table(n_players, *leading, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(n_players)
    drawn = torch.randn((*leading, 2**n_players), generator=generator, dtype=torch.float64)
    return drawn.to(device, dtype)


def weight_rows(n_rows, n_players):
    generator = torch.Generator().manual_seed(100 + n_players)
    return torch.randn((n_rows, n_players + 1), generator=generator, dtype=torch.float64)


def by_matrix(values, weights, order, dtype=torch.float64):
    """The sums as products with indicator matrices, in plain torch."""
    n_players = values.shape[-1].bit_length() - 1
    members = torch.arange(2**n_players)[:, None] >> torch.arange(n_players) & 1
    terms = (values - values[..., :1]).to(dtype) * weights[members.sum(1)].to(dtype)
    members = members.to(dtype)
    sums = [terms.sum(-1, keepdim=True)]
    if order > 0:
        sums.append(terms @ members)
    if order > 1:
        i, j = torch.triu_indices(n_players, n_players, 1)
        sums.append((members.T @ (terms.unsqueeze(-1) * members))[..., i, j])
    return torch.cat(sums, -1)


def joined(sums):
    parts = [sums.total.unsqueeze(-1), sums.players, sums.pairs]
    return torch.cat([part for part in parts if part is not None], -1).cpu()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_players", [0, 1, 2, 3, 6])
def test_equals_reference(backend, device, dtype, n_players):
    values = table(n_players, 3, dtype=dtype, device=device)
    weights, orders = weight_rows(4, n_players), [2, 0, 1, 2]
    actual = table_sums(values, weights, orders, backend=backend)
    expected = table_sums_reference(values.cpu(), weights, orders)
    for one, other, row, order in zip(actual, expected, weights, orders, strict=True):
        assert one.total.dtype == torch.float64
        assert (one.players is None) == (order < 1)
        assert (one.pairs is None) == (order < 2)
        plain = by_matrix(values.cpu().double(), row, order)
        assert_as_exact_as_torch(joined(one), joined(other), plain, floor=1e-14)


# Chunks hold 12 players, groups of them 16 chunks.
@pytest.mark.parametrize(("n_players", "n_tables"), [(11, 2), (12, 1), (13, 1), (14, 1)])
def test_equals_matrix_product(backend, device, n_players, n_tables):
    values = table(n_players, n_tables, device=device)
    weights = weight_rows(3, n_players)
    actual = table_sums(values, weights, [1, 2, 0], backend=backend)
    for sums, row, order in zip(actual, weights, [1, 2, 0], strict=True):
        expected = by_matrix(values.cpu(), row, order)
        scale = float(expected.abs().max())
        torch.testing.assert_close(joined(sums), expected, rtol=0, atol=1e-13 * scale)


def test_several_groups():
    values, weights = table(17), weight_rows(2, 17)
    for sums, row in zip(table_sums(values, weights, [2, 1]), weights, strict=True):
        order = 2 if sums.pairs is not None else 1
        expected = by_matrix(values, row, order)
        scale = float(expected.abs().max())
        torch.testing.assert_close(joined(sums), expected, rtol=0, atol=1e-13 * scale)


def test_a_table_gives_the_same_bits_in_any_batch(backend, device):
    values, weights = table(7, 3, device=device), weight_rows(2, 7)
    whole = table_sums(values, weights, [2, 1], backend=backend)
    for b in range(3):
        alone = table_sums(values[b], weights, [2, 1], backend=backend)
        for one, many in zip(alone, whole, strict=True):
            assert torch.equal(joined(one), joined(many)[b])


def test_many_tables_are_taken_in_portions():
    # 8 rows of 2**12 sums are 256 KiB a table, of 64 MiB of work space.
    values, weights = table(12, 300), weight_rows(8, 12)
    whole = table_sums(values, weights, [1] * 8)
    for b in (0, 254, 255, 299):
        alone = table_sums(values[b], weights, [1] * 8)
        for one, many in zip(alone, whole, strict=True):
            assert torch.equal(joined(one), joined(many)[b])


def test_two_threads_give_the_bits_of_one():
    values, weights = table(17, 2), weight_rows(2, 17)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = table_sums(values, weights, [2, 1])
        torch.set_num_threads(2)
        double = table_sums(values, weights, [2, 1])
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(single, double, strict=True):
        assert torch.equal(joined(one), joined(other))


def test_constant_table_gives_exact_zeros(backend, device):
    values = torch.full((2**6,), 1e9, device=device, dtype=torch.float32)
    (sums,) = table_sums(values, weight_rows(1, 6), [2], backend=backend)
    assert (joined(sums) == 0).all()


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 4), (2, 3, 16), (1,)])
def test_leading_axes(backend, device, shape):
    values = torch.arange(torch.Size(shape).numel(), dtype=torch.float64, device=device)
    values = values.reshape(shape)
    n_players = shape[-1].bit_length() - 1
    (sums,) = table_sums(values, weight_rows(1, n_players), [2], backend=backend)
    assert sums.total.shape == shape[:-1]
    assert sums.players.shape == (*shape[:-1], n_players)
    assert sums.pairs.shape == (*shape[:-1], n_players * (n_players - 1) // 2)
    expected = by_matrix(values.cpu(), weight_rows(1, n_players)[0], 2)
    torch.testing.assert_close(joined(sums), expected)


def test_non_contiguous_tables(backend, device):
    values = table(4, 3, device=device)
    strided = values.t().contiguous().t()
    assert not strided.is_contiguous()
    for one, other in zip(
        table_sums(strided, weight_rows(1, 4), [2], backend=backend),
        table_sums(values, weight_rows(1, 4), [2], backend=backend),
        strict=True,
    ):
        assert torch.equal(joined(one), joined(other))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": torch.zeros(6)}, ValueError, r"values must have 2\*\*n_players entries along"),
        ({"values": torch.zeros(8).half()}, TypeError, "values must have dtype torch.float32 or"),
        ({"weights": torch.zeros(1, 4)}, TypeError, "weights must have dtype torch.float64, got"),
        ({"weights": weight_rows(1, 4)}, ValueError, r"weights must have shape \[\*, 4\], got \["),
        ({"weights": weight_rows(9, 3)}, ValueError, "weights must have 1 to 8 rows, got 9"),
        ({"weights": weight_rows(1, 3) / 0}, ValueError, "weights must be finite, got 4 NaN or"),
        ({"weights": [1.0]}, TypeError, "weights must be a tensor, got a list"),
        ({"orders": [1, 2]}, ValueError, "orders must have 1 entries, got 2"),
        ({"orders": [3]}, ValueError, r"orders must be 0, 1 or 2, got \[3\]"),
    ],
)
def test_bad_input_is_named(changes, error, message):
    arguments = {"values": torch.zeros(8), "weights": weight_rows(1, 3), "orders": [1]} | changes
    with pytest.raises(error, match=message):
        table_sums(**arguments)
