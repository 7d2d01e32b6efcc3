"""Every representation against the dense matrix that it stands for."""

from functools import cache

import pytest
import torch

from pyxai.covariance import (
    BandedCovariance,
    BlockCovariance,
    DenseCovariance,
    DiagonalCovariance,
    LowRankCovariance,
    SampleCovariance,
    ToeplitzCovariance,
)
from pyxai.covariance import banded as covariance_banded
from pyxai.covariance import base as covariance_base
from pyxai.covariance import low_rank as covariance_low_rank


def rows(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing


def band(matrix, width):
    d = len(matrix)
    return torch.stack(
        [torch.nn.functional.pad(matrix.diagonal(k), (0, k)) for k in range(width + 1)]
    ), torch.where((torch.arange(d)[:, None] - torch.arange(d)).abs() <= width, matrix, 0.0)


def stationary(d):
    lags = torch.arange(d, dtype=torch.float64)
    column = 0.9**lags * torch.cos(0.3 * lags)
    return column, column[(torch.arange(d)[:, None] - torch.arange(d)).abs()]


def sized(d):
    """Return what must hold at odd and even sizes, by class."""
    sample = torch.cov(rows(d + 9, d).T).reshape(d, d)
    column, toeplitz = stationary(d)
    tapered = (column * (torch.arange(d) <= d // 2))[
        (torch.arange(d)[:, None] - torch.arange(d)).abs()
    ]
    tapered = 0.5 * tapered + 0.5 * torch.diag(tapered.diagonal())
    variances = torch.linspace(0.5, 2, d, dtype=torch.float64)
    diagonals, banded = band(toeplitz + torch.diag(variances), min(3, d - 1))
    return {
        f"dense {d}": (DenseCovariance(sample), sample),
        f"sample {d}": (SampleCovariance(rows(d + 9, d)), sample),
        f"diagonal {d}": (DiagonalCovariance(variances), torch.diag(variances)),
        f"low rank {d}": (
            LowRankCovariance(rows(3, d), variances),
            rows(3, d).T @ rows(3, d) + torch.diag(variances),
        ),
        f"toeplitz {d}": (ToeplitzCovariance(column), toeplitz),
        f"toeplitz {d} of few lags": (
            ToeplitzCovariance(column[: d // 2 + 1], features=d, shrinkage=0.5),
            tapered,
        ),
        f"banded {d}": (
            BandedCovariance(diagonals, ridge=0.2),
            banded + 0.2 * banded.diagonal().mean() * torch.eye(d, dtype=torch.float64),
        ),
    }


@cache
def cases():
    data = rows(40, 7)
    centred = data - data.mean(0)
    sample = centred.T @ centred / 39
    shrunk = 0.7 * sample + 0.3 * torch.diag(sample.diagonal())
    few = rows(4, 9)
    few_centred = few - few.mean(0)
    few_sample = few_centred.T @ few_centred / 3
    few_shrunk = 0.8 * few_sample + 0.2 * torch.diag(few_sample.diagonal())
    column, toeplitz = stationary(11)
    smooth = stationary(10)[1] + torch.diag(torch.linspace(0.5, 2, 10, dtype=torch.float64))
    diagonals, banded = band(smooth, 3)
    tri, tri_matrix = band(smooth, 1)
    variances = torch.linspace(0.5, 2, 5, dtype=torch.float64)
    long, long_matrix = band(stationary(51)[1] + 3 * torch.eye(51, dtype=torch.float64), 2)
    wide, wide_matrix = band(stationary(50)[1] + 9 * torch.eye(50, dtype=torch.float64), 20)
    return {
        "dense": (DenseCovariance(sample), sample),
        "dense shrunk": (DenseCovariance(sample, shrinkage=0.3), shrunk),
        "diagonal": (DiagonalCovariance(variances), torch.diag(variances)),
        "sample": (SampleCovariance(data, shrinkage=0.3), shrunk),
        "sample of full rank": (SampleCovariance(data), sample),
        "few rows": (SampleCovariance(few, shrinkage=0.2), few_shrunk),
        "low rank": (
            LowRankCovariance(few, variances.repeat(2)[:9]),
            few.T @ few + torch.diag(variances.repeat(2)[:9]),
        ),
        "toeplitz": (ToeplitzCovariance(column), toeplitz),
        "banded": (
            BandedCovariance(diagonals, shrinkage=0.1),
            0.9 * banded + 0.1 * torch.diag(banded.diagonal()),
        ),
        "tridiagonal": (BandedCovariance(tri), tri_matrix),
        "blocks": (
            BlockCovariance([DenseCovariance(sample), DiagonalCovariance(variances)], repeats=2),
            torch.block_diag(sample, torch.diag(variances), sample, torch.diag(variances)),
        ),
        "toeplitz with a ridge": (
            ToeplitzCovariance(column, ridge=0.2),
            toeplitz + 0.2 * torch.eye(11, dtype=torch.float64),
        ),
        "banded in four blocks": (BandedCovariance(long), long_matrix),
        "wide band in three blocks": (BandedCovariance(wide), wide_matrix),
        **sized(6),
        **sized(9),
    }


@pytest.fixture(params=list(cases()))
def case(request):
    return cases()[request.param]


def test_product_solve_and_diagonals(case):
    covariance, matrix = case
    vectors = rows(3, len(matrix), seed=1)
    inverse = torch.linalg.inv(matrix)
    torch.testing.assert_close(covariance.product(vectors), vectors @ matrix)
    torch.testing.assert_close(covariance.solve(vectors), vectors @ inverse, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(covariance.diagonal(), matrix.diagonal())
    torch.testing.assert_close(
        covariance.precision_diagonal(), inverse.diagonal(), rtol=1e-7, atol=1e-9
    )


def test_color_is_a_root_of_the_matrix(case):
    covariance, matrix = case
    # Colouring is linear: the images of the unit normals are the columns of the root.
    root = covariance.color(torch.eye(covariance.n_normals, dtype=torch.float64))
    torch.testing.assert_close(root.T @ root, matrix, rtol=1e-9, atol=1e-9)


def test_blocks_of_features(case):
    covariance, matrix = case
    indices = torch.tensor([0, 3, 4])
    others = torch.tensor([i for i in range(len(matrix)) if i not in (0, 3, 4)])
    torch.testing.assert_close(covariance.block(indices), matrix[indices][:, indices])
    cross = matrix[indices][:, others]
    schur = (
        matrix[indices][:, indices] - cross @ torch.linalg.inv(matrix[others][:, others]) @ cross.T
    )
    torch.testing.assert_close(covariance.conditional_block(indices), schur, rtol=1e-7, atol=1e-8)


def test_many_blocks_at_once(case):
    covariance, _ = case
    members = torch.tensor([[0, 3], [4, 1]])
    for method, single in (("blocks", "block"), ("conditional_blocks", "conditional_block")):
        one_by_one = torch.stack([getattr(covariance, single)(indices) for indices in members])
        torch.testing.assert_close(getattr(covariance, method)(members), one_by_one)


def test_quadratic_forms_of_groups_are_those_of_their_blocks(case):
    covariance, _ = case
    members = torch.tensor([[0, 3], [4, 1]])
    vectors = rows(6, 2, seed=2).view(3, 2, 1, 2) @ rows(2, 2, seed=3)  # [3, 2 groups, 1, 2]
    for form, blocks in (("marginal_form", "blocks"), ("conditional_form", "conditional_blocks")):
        expected = vectors @ getattr(covariance, blocks)(members) @ vectors.mT
        found = getattr(covariance, form)(vectors[..., 0, :], members)
        torch.testing.assert_close(found, expected[..., 0, 0], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("limit", [0, 2**22])
def test_what_groups_need_is_kept_while_they_live_unless_it_is_large(monkeypatch, limit):
    for module in (covariance_base, covariance_low_rank):
        monkeypatch.setattr(module, "MAX_KEPT", limit)
    factored = 0
    cholesky = torch.linalg.cholesky

    def counting(*arguments, **options):
        nonlocal factored
        factored += 1
        return cholesky(*arguments, **options)

    covariance = LowRankCovariance(rows(3, 8), torch.linspace(0.5, 2, 8, dtype=torch.float64))
    covariance.precision_diagonal()
    monkeypatch.setattr(torch.linalg, "cholesky", counting)
    members, vectors = torch.tensor([[0, 3], [4, 1]]), rows(5, 2).view(5, 1, 2).expand(5, 2, 2)
    first = covariance.conditional_form(vectors, members)
    assert torch.equal(covariance.conditional_form(vectors, members), first)
    assert factored == (2 if limit else 4)
    other = torch.tensor([[5, 2], [6, 7]])
    expected = vectors[..., None, :] @ covariance.conditional_blocks(other) @ vectors[..., None]
    torch.testing.assert_close(covariance.conditional_form(vectors, other), expected[..., 0, 0])
    del members, other
    assert not covariance._of_members


def test_a_group_may_hold_all_features(case):
    """Given nothing else, the conditional covariance is the covariance itself."""
    covariance, matrix = case
    members, vectors = torch.arange(len(matrix))[None], rows(3, len(matrix), seed=1)[:, None]
    expected = (vectors @ matrix * vectors).sum(-1)
    torch.testing.assert_close(covariance.marginal_form(vectors, members), expected)
    torch.testing.assert_close(
        covariance.conditional_form(vectors, members), expected, rtol=1e-6, atol=1e-6
    )


def test_float32_stays_float32(case):
    covariance, matrix = case
    single = covariance.to("cpu", torch.float32)
    vectors = rows(3, len(matrix), seed=1).float()
    assert single.product(vectors).dtype == torch.float32
    assert single.precision_diagonal().dtype == torch.float32
    torch.testing.assert_close(
        single.product(vectors), (vectors.double() @ matrix).float(), rtol=1e-4, atol=1e-4
    )


def test_leading_directions_are_the_best_low_rank_form():
    data = rows(30, 6)
    covariance = SampleCovariance(data, rank=2)
    values, vectors = torch.linalg.eigh(torch.cov(data.T))
    best = (vectors[:, -2:] * values[-2:]) @ vectors[:, -2:].T
    torch.testing.assert_close(covariance.product(torch.eye(6, dtype=torch.float64)), best)


def test_large_input_needs_no_square_matrix():
    covariance = SampleCovariance(torch.randn(5, 150_528), shrinkage=0.1)
    vectors = torch.randn(2, 150_528)
    assert covariance.product(vectors).shape == vectors.shape
    assert covariance.precision_diagonal().shape == (150_528,)


def dependent(d, rank, seed=0):
    """Return variables [d, 50] of which only ``rank`` are independent."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, rank, generator=generator, dtype=torch.float64)
    return mixing @ torch.randn(rank, 50, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "covariance",
    [
        SampleCovariance(rows(4, 9)),
        DenseCovariance(torch.ones(3, 3, dtype=torch.float64)),
        DiagonalCovariance(torch.tensor([1.0, 0.0])),
        ToeplitzCovariance(torch.ones(4, dtype=torch.float64)),
        DenseCovariance(torch.cov(dependent(6, 2)).float()),
        BandedCovariance(band(torch.cov(dependent(6, 2)), 5)[0]),
        BandedCovariance(band(torch.cov(dependent(6, 2)), 5)[0].float()),
        BandedCovariance(band(torch.diag(torch.arange(40.0).double()), 2)[0]),
    ],
)
def test_singular_covariance_can_be_drawn_from_but_not_inverted(covariance):
    unit = torch.eye(covariance.n_normals, dtype=covariance.diagonal().dtype)
    root = covariance.color(unit)
    matrix = covariance.product(torch.eye(covariance.features, dtype=unit.dtype))
    torch.testing.assert_close(root.T @ root, matrix, rtol=1e-5, atol=1e-5 * float(matrix.max()))
    with pytest.raises(
        ValueError, match=r"covariance must be positive definite, got .*shrinkage > 0"
    ):
        covariance.precision_diagonal()


@pytest.mark.parametrize("seed", range(20))
def test_no_singular_band_passes(seed):
    """Whether a pivot of 0 comes out positive is chance."""
    matrix = torch.cov(dependent(3, 2, seed))
    with pytest.raises(ValueError, match="covariance must be positive definite, got a band"):
        BandedCovariance(band(matrix, 2)[0]).precision_diagonal()
    ridged = BandedCovariance(band(matrix, 2)[0], ridge=0.1)
    eye = torch.eye(3, dtype=torch.float64)
    expected = torch.linalg.inv(matrix + 0.1 * matrix.diagonal().mean() * eye).diagonal()
    torch.testing.assert_close(ridged.precision_diagonal(), expected)


@pytest.mark.parametrize("constant", [0, 15, 16, 39])
def test_a_band_with_a_constant_feature_is_drawn_from(constant):
    _, matrix = band(stationary(40)[1] + torch.eye(40, dtype=torch.float64), 2)
    keep = (torch.arange(40) != constant).double()
    matrix = matrix * keep * keep[:, None]
    covariance = BandedCovariance(band(matrix, 2)[0])
    root = covariance.color(torch.eye(covariance.n_normals, dtype=torch.float64))
    torch.testing.assert_close(root.T @ root, matrix)
    assert (root[:, constant] == 0).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_in_a_direction_without_variance_is_no_covariance(sign, monkeypatch):
    """Features 14 and 15 are multiples, so that what both add to 16 cancels but for rounding."""
    monkeypatch.setattr(covariance_banded, "MAX_DENSE_ROOT", 0)  # no other root stands in
    common = torch.zeros(32, dtype=torch.float64)
    common[14:17] = torch.tensor([1 / 3, 1.0, 0.7 * sign])
    rest = torch.ones(32, dtype=torch.float64)
    rest[14:16] = 0
    matrix = torch.outer(common, common) + torch.diag(rest)
    covariance = BandedCovariance(band(matrix, 2)[0])
    root = covariance.color(torch.eye(covariance.n_normals, dtype=torch.float64))
    torch.testing.assert_close(root.T @ root, matrix)


def test_indefinite_band_is_refused():
    diagonals = torch.tensor([[1.0, 1.0, 1.0], [0.9, 0.9, 0.0]])
    with pytest.raises(ValueError, match="covariance must be positive semi-definite, got a band"):
        BandedCovariance(diagonals).color(torch.ones(1, 3))
    flat = torch.zeros(2, 32)
    flat[0], flat[0, 15], flat[1, 15] = 1.0, 0.0, 0.5  # a constant feature cannot covary
    with pytest.raises(ValueError, match="covariance must be positive semi-definite, got a band"):
        BandedCovariance(flat).color(torch.ones(1, 32))


def test_precision_diagonal_is_computed_once(case):
    covariance, _ = case
    assert covariance.precision_diagonal() is covariance.precision_diagonal()
    there = covariance.to("cpu", torch.float32)
    assert covariance.to("cpu", torch.float32) is there
    assert covariance.to("cpu", torch.float64) is covariance


@pytest.mark.parametrize("form", ["banded", "toeplitz"])
def test_precision_of_a_second_of_sound(form):
    """16,000 values of an autoregressive process, whose precision is tridiagonal: closed form."""
    n, a = 16_000, 0.4
    if form == "toeplitz":
        n = 4_000
        covariance = ToeplitzCovariance(a ** torch.arange(n, dtype=torch.float64))
        inner = (1 + a * a) / (1 - a * a)
    else:
        one = torch.ones(n, dtype=torch.float64)
        covariance = BandedCovariance(torch.stack([(1 + a * a) * one, -a * one]))
        # Far from the ends: the inverse of (1 - a B)(1 - a B').
        inner = 1 / (1 - a * a)
    found = covariance.precision_diagonal()
    assert found.shape == (n,)
    torch.testing.assert_close(found[100:-100], torch.full((n - 200,), inner).to(found))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"matrix must be square, got shape \[2, 3\]"):
        DenseCovariance(torch.ones(2, 3))
    with pytest.raises(ValueError, match="matrix must be symmetric"):
        DenseCovariance(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    with pytest.raises(
        ValueError, match="covariance must be positive semi-definite, got an eigenvalue"
    ):
        DenseCovariance(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).color(torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"shrinkage must be in \[0, 1\], got 1.5"):
        SampleCovariance(torch.ones(3, 2), shrinkage=1.5)
    with pytest.raises(ValueError, match="rows must hold at least 2 rows, got 1"):
        SampleCovariance(torch.ones(1, 2))
    with pytest.raises(ValueError, match="rows must be finite, got 1 NaN"):
        SampleCovariance(torch.tensor([[1.0, float("nan")], [0.0, 0.0]]))
    for shape in ((2, 2), (0,), ()):
        with pytest.raises(ValueError, match="autocovariance must be a vector, got shape"):
            ToeplitzCovariance(torch.ones(shape))
    with pytest.raises(ValueError, match="matrix of the autocovariance must be positive semi-def"):
        ToeplitzCovariance(torch.tensor([1.0, 2.0, 0.0]))
    with pytest.raises(ValueError, match="variances must not be negative, got -1"):
        DiagonalCovariance(torch.tensor([-1.0]))
    with pytest.raises(TypeError, match="blocks must be a sequence of covariances, got a torch"):
        BlockCovariance(torch.eye(2))
    with pytest.raises(TypeError, match="blocks must be a sequence of covariances, got one with a"):
        BlockCovariance([torch.eye(2)])
    with pytest.raises(ValueError, match="blocks must hold at least one covariance, got none"):
        BlockCovariance([])
