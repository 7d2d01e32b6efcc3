import pytest
import torch
from backends import assert_as_exact_as_torch

from pyxai.ops import (
    moebius_transform,
    pairwise_taylor_hessian,
    pairwise_taylor_hessian_reference,
    pairwise_taylor_products,
    pairwise_taylor_products_reference,
    pairwise_taylor_values,
    pairwise_taylor_values_reference,
)

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def draw(*shape, dtype=torch.float64, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)


def sample_values(batch, n_players, **where):
    n_pairs = n_players * (n_players - 1) // 2
    return (
        draw(batch, seed=1, **where),
        draw(batch, n_players, seed=2, **where),
        draw(batch, n_pairs, seed=3, **where),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("context", ["baseline", "input"])
# Tiles are 32 players wide.
@pytest.mark.parametrize(("batch", "n_players"), [(0, 3), (2, 0), (2, 1), (3, 2), (2, 31), (1, 33)])
def test_values_equal_reference(backend, device, dtype, context, batch, n_players):
    values = sample_values(batch, n_players, dtype=dtype, device=device)
    actual = pairwise_taylor_values(*values, context=context, backend=backend)
    expected = pairwise_taylor_values_reference(*(v.cpu() for v in values), context=context)
    assert actual.dtype == torch.float64
    assert torch.equal(actual, actual.transpose(1, 2))
    # The four values are exact; three roundings in double.
    torch.testing.assert_close(actual.cpu(), expected, rtol=0, atol=3e-15)


def test_many_tiles(backend, device):
    values = sample_values(2, 100, dtype=torch.float32, device=device)
    actual = pairwise_taylor_values(*values, backend=backend)
    expected = pairwise_taylor_values_reference(*(v.cpu() for v in values))
    torch.testing.assert_close(actual.cpu(), expected, rtol=0, atol=3e-15)


def test_values_do_not_cancel_in_single_precision(backend, device):
    # Values near 1000 whose second difference is one unit in the last place.
    step = 2.0**-14
    empty, single = torch.tensor([1000.0]), torch.tensor([[1000.0 + step, 1000.0]])
    pairs = torch.tensor([[1000.0 + 2 * step]])
    actual = pairwise_taylor_values(
        empty.to(device), single.to(device), pairs.to(device), backend=backend
    )
    assert actual[0].tolist() == [[step, step], [step, 0.0]]


def test_values_are_dividends(backend, device):
    table = draw(2, 16, device=device)
    sets = [1 << i for i in range(4)]
    pairs = [1 << i | 1 << j for i in range(4) for j in range(i + 1, 4)]
    i, j = torch.triu_indices(4, 4, 1)
    low = pairwise_taylor_values(table[:, 0], table[:, sets], table[:, pairs], backend=backend)
    dividends = moebius_transform(table)
    torch.testing.assert_close(low[:, i, j], dividends[:, pairs])
    torch.testing.assert_close(low.diagonal(dim1=1, dim2=2), dividends[:, sets])
    # From the input: the sum of the dividends of all sets that contain the pair.
    high = pairwise_taylor_values(
        table[:, 15],
        table[:, [15 - s for s in sets]],
        table[:, [15 - s for s in pairs]],
        context="input",
        backend=backend,
    )
    index = torch.arange(16)
    for k, pair in enumerate(pairs):
        expected = dividends[:, index & pair == pair].sum(1)
        torch.testing.assert_close(high[:, i[k], j[k]], expected)
    for k, one in enumerate(sets):
        torch.testing.assert_close(high[:, k, k], dividends[:, index & one == one].sum(1))


MAPS = {
    "features": (None, None),
    "blocks": ([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4], 5),
    "mixed": ([3, -1, 0, 3, 1, 0, -1, 1, 1, 0, 3, 3], 6),  # player 2, 4 and 5 own nothing
}


def players_of(name, device):
    players, n_players = MAPS[name]
    if players is None:
        return None, None
    return torch.tensor(players, dtype=torch.int32, device=device), n_players


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("form", ["hessian", "products"])
def test_hessian_equals_reference(backend, device, dtype, name, form):
    players, n_players = players_of(name, device)
    n_rows = 12 if form == "hessian" or players is None else n_players
    matrix = draw(2, n_rows, 12, dtype=dtype, device=device)
    delta = draw(2, 12, dtype=dtype, device=device, seed=5)
    function, reference = {
        "hessian": (pairwise_taylor_hessian, pairwise_taylor_hessian_reference),
        "products": (pairwise_taylor_products, pairwise_taylor_products_reference),
    }[form]
    actual = function(matrix, delta, players, n_players=n_players, backend=backend)
    cpu_players = None if players is None else players.cpu()
    expected = reference(matrix.cpu(), delta.cpu(), cpu_players, n_players=n_players)
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("features", [1, 255, 257])
def test_sizes_around_a_block(backend, device, features):
    matrix = draw(1, 2, features, dtype=torch.float32, device=device)
    delta = draw(1, features, dtype=torch.float32, device=device)
    n_rows = min(2, features)
    actual = pairwise_taylor_hessian(matrix[:, :n_rows], delta, backend=backend)
    expected = pairwise_taylor_hessian_reference(matrix[:, :n_rows].cpu(), delta.cpu())
    plain = torch.zeros_like(expected, dtype=torch.float32)
    plain[:, :n_rows] = (matrix[:, :n_rows] * delta[:, :n_rows, None] * delta[:, None]).cpu()
    assert_as_exact_as_torch(actual, expected, plain)


@pytest.mark.parametrize("members", [100, 600])
def test_large_players(backend, device, members):
    # One player's features are shared by a warp, or by a block.
    players = torch.arange(2, dtype=torch.int32, device=device).repeat_interleave(members)
    products = draw(2, 2, 2 * members, dtype=torch.float32, device=device)
    delta = draw(2, 2 * members, dtype=torch.float32, device=device)
    actual = pairwise_taylor_products(products, delta, players, n_players=2, backend=backend)
    expected = (products.double() * delta[:, None].double()).view(2, 2, 2, members).sum(-1)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_rows_in_chunks_add_up(backend, device, name):
    players, n_players = players_of(name, device)
    matrix, delta = draw(2, 12, 12, device=device), draw(2, 12, device=device, seed=5)
    options = {"n_players": n_players, "backend": backend}
    whole = pairwise_taylor_hessian(matrix, delta, players, **options)
    out = pairwise_taylor_hessian(matrix[:, :5], delta, players, **options)
    returned = pairwise_taylor_hessian(
        matrix[:, 5:], delta, players, row_start=5, out=out, **options
    )
    assert returned is out
    torch.testing.assert_close(out, whole, rtol=1e-13, atol=1e-13)
    late = pairwise_taylor_hessian(matrix[:, 5:], delta, players, row_start=5, **options)
    early = pairwise_taylor_hessian(matrix[:, :5], delta, players, **options)
    torch.testing.assert_close(early + late, whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", MAPS)
def test_products_say_what_rows_say(backend, device, name):
    players, n_players = players_of(name, device)
    matrix, delta = draw(2, 12, 12, device=device), draw(2, 12, device=device, seed=5)
    matrix = matrix + matrix.transpose(1, 2)
    options = {"n_players": n_players, "backend": backend}
    owners = torch.arange(12, device=device) if players is None else players
    count = n_players or 12
    steps = (owners == torch.arange(count, device=device)[:, None]) * delta[:, None]
    products = steps @ matrix
    one = pairwise_taylor_hessian(matrix, delta, players, **options)
    torch.testing.assert_close(
        pairwise_taylor_products(products, delta, players, **options), one, rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(one, one.transpose(1, 2), rtol=1e-12, atol=1e-12)


def test_terms_of_a_quadratic_are_its_effects(backend, device):
    # f = x^T A x / 2 from b = 0: the second differences are the second-order terms, exactly.
    matrix, x = draw(6, 6, device=device), draw(1, 6, device=device, seed=5)
    matrix = matrix + matrix.T
    terms = pairwise_taylor_hessian(matrix[None], x, backend=backend)[0]

    def value(*chosen):
        kept = torch.zeros_like(x[0])
        kept[list(chosen)] = x[0, list(chosen)]
        return kept @ matrix @ kept / 2

    i, j = torch.triu_indices(6, 6, 1)
    effects = pairwise_taylor_values(
        value()[None],
        torch.stack([value(k) for k in range(6)])[None],
        torch.stack([value(int(a), int(b)) for a, b in zip(i, j, strict=True)])[None],
        backend=backend,
    )[0]
    torch.testing.assert_close(terms[i, j], effects[i, j], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(terms.diagonal() / 2, effects.diagonal(), rtol=1e-12, atol=1e-12)


def test_shaped_features_and_maps_per_example(backend, device):
    matrix = draw(2, 6, 2, 3, device=device)
    delta = draw(2, 2, 3, device=device, seed=5)
    maps = [[[0, 1, 0], [1, 1, 0]], [[1, 1, 0], [-1, 0, 0]]]
    players = torch.tensor(maps, dtype=torch.int32, device=device)
    actual = pairwise_taylor_hessian(matrix, delta, players, n_players=2, backend=backend)
    expected = pairwise_taylor_hessian_reference(
        matrix.cpu(), delta.cpu(), players.cpu(), n_players=2
    )
    torch.testing.assert_close(actual.cpu(), expected)


def test_non_contiguous_tensors(backend, device):
    matrix, delta = draw(2, 5, 5, device=device), draw(2, 5, device=device)
    strided = matrix.transpose(1, 2).contiguous().transpose(1, 2)
    assert not strided.is_contiguous()
    assert torch.equal(
        pairwise_taylor_hessian(strided, delta, backend=backend),
        pairwise_taylor_hessian(matrix, delta, backend=backend),
    )
    empty, single, pairs = sample_values(2, 5, device=device)
    assert torch.equal(
        pairwise_taylor_values(empty, single.t().contiguous().t(), pairs, backend=backend),
        pairwise_taylor_values(empty, single, pairs, backend=backend),
    )


@pytest.mark.parametrize(("batch", "n_rows", "features"), [(0, 2, 3), (2, 0, 3), (2, 0, 0)])
def test_empty_hessians(backend, device, batch, n_rows, features):
    matrix, delta = draw(batch, n_rows, features, device=device), draw(batch, features)
    actual = pairwise_taylor_hessian(matrix, delta.to(device), backend=backend)
    assert actual.shape == (batch, features, features)
    assert (actual == 0).all()
    out = torch.ones_like(actual)
    pairwise_taylor_hessian(matrix, delta.to(device), out=out, backend=backend)
    assert (out == 1).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"empty": torch.zeros(3)}, ValueError, r"empty must have shape \[2\], got \[3\]"),
        ({"single": torch.zeros(2)}, ValueError, r"single must have shape \[\*, \*\], got \[2\]"),
        ({"single": "x"}, TypeError, "single must be a tensor, got 'x'"),
        ({"single": torch.ones(2, 3).int()}, TypeError, "single must have dtype torch.float32 or"),
        ({"pairs": torch.zeros(2, 6)}, ValueError, r"pairs must have shape \[2, 3\], got \[2, 6\]"),
        ({"pairs": torch.zeros(2, 3).double()}, TypeError, "pairs must have dtype torch.float32"),
        ({"context": "mean"}, ValueError, "context must be one of 'baseline', 'input', got 'mean'"),
    ],
)
def test_bad_values_are_named(changes, error, message):
    empty, single, pairs = sample_values(2, 3, dtype=torch.float32)
    arguments = {"empty": empty, "single": single, "pairs": pairs} | changes
    with pytest.raises(error, match=message):
        pairwise_taylor_values(**arguments)


PLAYERS = torch.tensor([0, 0, 1, -1], dtype=torch.int32)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"hessian": torch.zeros(2, 4, 3)}, ValueError, r"hessian must have shape \[2, \*, 4\], g"),
        ({"hessian": torch.zeros(2, 4, 4).half()}, TypeError, "hessian must have dtype torch.floa"),
        ({"hessian": None}, TypeError, "hessian must be a tensor, got None"),
        ({"delta": torch.zeros(2, 4).int()}, TypeError, "delta must have dtype torch.float32 or"),
        ({"row_start": 1}, ValueError, r"hessian must have rows in 0..3, got 4 from 1 on"),
        ({"row_start": -1}, ValueError, "row_start must be at least 0, got -1"),
        ({"n_players": 3}, ValueError, "n_players must be 4 without players, got 3"),
        ({"players": PLAYERS}, ValueError, "n_players must be given with players, got None"),
        ({"players": PLAYERS, "n_players": 1}, ValueError, "players must be below n_players = 1"),
        (
            {"players": PLAYERS - 1, "n_players": 2},
            ValueError,
            r"players must be at least -1 \(nobody\), got -2",
        ),
        ({"out": torch.zeros(2, 4, 4)}, TypeError, "out must have dtype torch.float64, got"),
    ],
)
def test_bad_hessians_are_named(changes, error, message):
    arguments = {"hessian": torch.zeros(2, 4, 4), "delta": torch.zeros(2, 4)} | changes
    with pytest.raises(error, match=message):
        pairwise_taylor_hessian(**arguments)


def test_bad_products_are_named():
    with pytest.raises(ValueError, match=r"products must have rows in 0..1, got 3 from 0 on"):
        pairwise_taylor_products(torch.zeros(2, 3, 4), torch.zeros(2, 4), PLAYERS, n_players=2)
