"""Covariances of float32 numbers against their float64 references, and what they refuse."""

import pytest
import torch

from pyxai.covariance import (
    BandedCovariance,
    DenseCovariance,
    LowRankCovariance,
    SampleCovariance,
)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uneven(n, d, seed=0):
    """Return rows whose features differ in size by 1e5, as raw measurements do."""
    return draws(n, d, seed=seed) @ draws(d, d, seed=1) * 10 ** torch.linspace(2, -3, d).double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d"), [(60, 12), (12, 60), (12, 12)])
def test_low_rank_keeps_what_the_singular_values_say(n, d, dtype):
    rows = uneven(n, d).to(dtype)
    centred = rows.double() - rows.double().mean(0)
    values, vectors = torch.linalg.svd(centred / (n - 1) ** 0.5, full_matrices=False)[1:]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-8
    for rank in (12, 11, 5, 1):
        best = (values[:rank, None] * vectors[:rank]).square().sum(0)
        found = SampleCovariance(rows, rank=rank).diagonal().double()
        torch.testing.assert_close(found, best, rtol=tolerance, atol=0)


def test_low_rank_in_blocks(monkeypatch):
    """What is held in float64 at a time does not change what comes out."""
    tall, wide = uneven(60, 12).float(), uneven(12, 60).float()
    vectors = {12: draws(3, 12), 60: draws(3, 60)}
    whole = [SampleCovariance(rows, rank=5).to("cpu", torch.float64) for rows in (tall, wide)]
    monkeypatch.setattr("pyxai.covariance.low_rank.BLOCK", 100)
    parts = [SampleCovariance(rows, rank=5).to("cpu", torch.float64) for rows in (tall, wide)]
    for one, other in zip(whole, parts, strict=True):
        v = vectors[one.features]
        torch.testing.assert_close(other.product(v), one.product(v), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [None, 12])
def test_precision_of_float32_rows(rank):
    rows = uneven(60, 12).float()
    matrix = torch.cov(rows.double().T)
    expected = torch.linalg.inv(matrix).diagonal()
    covariance = SampleCovariance(rows, rank=rank)
    for found in (covariance, covariance.to("cpu", torch.float64)):
        inverse = found.precision_diagonal()
        assert inverse.dtype == found.diagonal().dtype
        torch.testing.assert_close(inverse.double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_singular_float32_rows_are_found_in_any_dtype(mean, seed):
    rows = draws(50, 3, seed=seed).float() + mean
    rows = torch.cat([rows, rows[:, :1] + rows[:, 1:2]], 1)
    dense = DenseCovariance(torch.cov(rows.double().T).float())
    for covariance in (SampleCovariance(rows), SampleCovariance(rows, rank=4), dense):
        for dtype in (torch.float32, torch.float64):
            with pytest.raises(ValueError, match="positive definite, got a singular matrix"):
                covariance.to("cpu", dtype).precision_diagonal()


def test_rank_in_the_message_is_that_after_centring():
    for covariance in (SampleCovariance(draws(4, 9)), SampleCovariance(draws(40, 60), rank=3)):
        for each in (covariance, covariance.to("cpu", torch.float32)):
            with pytest.raises(ValueError, match=f"got rank 3 for {covariance.features} features"):
                each.precision_diagonal()
    with pytest.raises(ValueError, match="got rank 4 for 9 features"):
        LowRankCovariance(draws(4, 9)).precision_diagonal()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (torch.tensor([1.0, float("nan"), 1.0]), "extra must be finite, got 1 NaN"),
        (torch.tensor([1.0, -2.0, 1.0]), "extra must not be negative, got -2"),
        (torch.ones(2), r"extra must have shape \[3\], got \[2\]"),
        (torch.ones(3).long(), "extra must have dtype torch.float32 or torch.float64, got"),
        ([1.0, 1.0, 1.0], "extra must be a tensor, got a list of 3"),
    ],
)
def test_extra_variances_are_checked(extra, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LowRankCovariance(torch.ones(2, 3), extra)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [9, 16, 58])
def test_valid_singular_bands_are_drawn_from(seed, dtype):
    """The upper blocks are close to singular: what they leave to the lower ones is rounding."""
    factor = torch.zeros(50, 49, dtype=torch.float64)
    order = torch.arange(49)
    factor[order, order], factor[order + 1, order] = draws(49, seed=seed), draws(49)
    matrix = factor @ factor.T
    bands = torch.stack([matrix.diagonal(), torch.nn.functional.pad(matrix.diagonal(1), (0, 1))])
    covariance = BandedCovariance(bands.to(dtype))
    for each in (covariance, covariance.to("cpu", torch.float32)):
        root = each.color(torch.eye(each.n_normals, dtype=torch.float64))
        torch.testing.assert_close(root.T @ root, matrix, rtol=1e-6, atol=1e-5)
    bands[0] -= 1e-2 * matrix.diagonal().max()
    indefinite = BandedCovariance(bands.to(dtype))
    with pytest.raises(ValueError, match="covariance must be positive semi-definite, got a band"):
        indefinite.color(torch.ones(1, indefinite.n_normals))
