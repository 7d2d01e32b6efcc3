"""Every representation against the dense matrix that it stands for."""

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


@pytest.mark.parametrize(
    "covariance",
    [
        SampleCovariance(rows(4, 9)),
        DenseCovariance(torch.ones(3, 3, dtype=torch.float64)),
        DiagonalCovariance(torch.tensor([1.0, 0.0])),
        ToeplitzCovariance(torch.ones(4, dtype=torch.float64)),
    ],
)
def test_singular_covariance_can_be_drawn_from_but_not_inverted(covariance):
    draws = covariance.color(torch.randn(2, covariance.n_normals, dtype=torch.float64))
    assert torch.isfinite(draws).all()
    with pytest.raises(
        ValueError, match=r"covariance must be positive definite, got .*shrinkage > 0"
    ):
        covariance.precision_diagonal()


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
    with pytest.raises(ValueError, match="matrix of the autocovariance must be positive semi-def"):
        ToeplitzCovariance(torch.tensor([1.0, 2.0, 0.0]))
    with pytest.raises(ValueError, match="variances must not be negative, got -1"):
        DiagonalCovariance(torch.tensor([-1.0]))
