"""Whether a matrix is singular is judged by the precision of the numbers that it was made of."""

import pytest
import torch

from pyxai.covariance import (
    BandedCovariance,
    DenseCovariance,
    LowRankCovariance,
    ToeplitzCovariance,
)

FORMS = {
    "dense": lambda c: DenseCovariance(torch.stack([torch.stack([c[0], c[1]]), c.flip(0)])),
    "banded": lambda c: BandedCovariance(
        torch.stack([c[0].expand(2), torch.stack([c[1], 0 * c[1]])])
    ),
    "toeplitz": lambda c: ToeplitzCovariance(c),
    "low rank": lambda c: LowRankCovariance(
        torch.stack([c, torch.stack([0 * c[0], (1 - c[1] ** 2).sqrt()])])
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_single_precision_is_singular_where_double_precision_is_not(form):
    """A correlation of 1 - 4e-7: the pivot, 8e-7, is within the rounding of single precision."""
    column = torch.tensor([1.0, 1 - 4e-7], dtype=torch.float64)
    v = torch.tensor([1.0, -1.0], dtype=torch.float64)
    solved = FORMS[form](column).solve(v)
    torch.testing.assert_close(solved, v / 4e-7, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="must be positive definite"):
        FORMS[form](column.float()).solve(v.float())
    # Moved to another precision, it is judged as what it was made of.
    moved = FORMS[form](column.float()).to("cpu", torch.float64)
    with pytest.raises(ValueError, match="must be positive definite"):
        moved.solve(v)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_without_variance_covaries_with_none_of_either_sign(sign):
    flat = torch.zeros(2, 32)
    flat[0], flat[0, 15], flat[1, 15] = 1.0, 0.0, sign * 0.5
    with pytest.raises(ValueError, match="covariance must be positive semi-definite, got a band"):
        BandedCovariance(flat).color(torch.ones(1, 32))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_matrix_must_be_symmetric_on_either_side(sign):
    matrix = torch.eye(3).double()
    matrix[0, 2] = sign * 0.5
    for given in (matrix, matrix.T):
        with pytest.raises(ValueError, match=r"matrix must be symmetric, got a difference of 0\.5"):
            DenseCovariance(given)
    # What rounding leaves is judged beside the largest entry, of either sign.
    large = torch.tensor([[1.0, -1000.0], [-1000.0 + 1e-3, 2e6]], dtype=torch.float64)
    assert DenseCovariance(large).features == 2


def test_numbers_behind_the_end_of_a_diagonal_are_not_read():
    diagonals = torch.tensor([[2.0] * 5, [0.5] * 5, [0.25] * 5], dtype=torch.float64)
    ends = diagonals.clone()
    ends[1, 4:] = ends[2, 3:] = 0
    v = torch.arange(5.0, dtype=torch.float64)
    for given in (diagonals, ends):
        covariance = BandedCovariance(given)
        assert torch.equal(covariance.product(v), BandedCovariance(ends).product(v))
        assert torch.equal(covariance.solve(v), BandedCovariance(ends).solve(v))
        assert torch.equal(covariance.diagonals, ends)
