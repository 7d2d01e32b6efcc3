"""Forms of masks, dtypes and covariances that few callers give."""

import pytest
import torch

from pyxai import imputers
from pyxai._inputs import Players
from pyxai.covariance import BandedCovariance
from pyxai.imputers.blend import impute
from pyxai.imputers.mixtures.scores import quadratic_scores

D = torch.float64
X = torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]], dtype=D)
IDS = torch.arange(2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_what_a_function_says_of_present_features_is_not_used(dtype):
    def function(inputs, present, **_):
        # A present feature is told to be what no whole number can be.
        values = torch.full((2, 1, 1, 3), 7.0, dtype=D)
        return values.masked_fill(present.unsqueeze(2), torch.nan)

    x = X.to(dtype)
    present = torch.tensor([[[True, False, False]], [[False, True, True]]])
    drawing = imputers.Callback(function).check((x,))
    (found,) = impute(drawing, (x,), present, seed=0, example_ids=IDS)
    assert found.dtype == dtype
    assert found.flatten(1).tolist() == [[1, 7, 7], [7, -2, -3]]


def test_soft_weights_of_groups_that_differ_by_example_meet_draws_of_each_mask():
    def function(inputs, present, **_):  # another draw for each mask
        return torch.arange(4.0, dtype=D).view(1, 2, 2, 1).expand(2, 2, 2, 3)

    maps = torch.tensor([[0, 0, 1], [1, 0, 0]], dtype=torch.int32)
    players = Players((maps,), torch.arange(2))
    weights = torch.tensor([[[0.5, 1.0], [0.25, 0.0]], [[1.0, 0.5], [0.0, 0.75]]], dtype=D)
    drawing = imputers.Callback(function, n_draws=2).check((X,))
    (found,) = impute(drawing, (X,), weights, seed=0, example_ids=IDS, players=players)
    drawn = torch.arange(4.0, dtype=D).view(1, 2, 2, 1)
    shown = weights.gather(2, maps.long()[:, None].expand(2, 2, 3))[:, :, None]
    torch.testing.assert_close(found, drawn + shown * (X[:, None, None] - drawn))


def test_a_covariance_stands_for_its_matrix():
    band = BandedCovariance(torch.tensor([[2.0, 1.0, 3.0], [0.5, -0.25, 0.0]], dtype=D))
    matrix = band.block(torch.arange(3))
    assert matrix[0, 2] == 0 != matrix[0, 1]
    mask = (torch.tensor([[[True, False, True]], [[False, False, True]]]),)
    draws = [
        imputers.Gaussian(mean=X[0], covariance=given, n_draws=5)
        .check((X,))
        .draw((X,), mask, seed=3, example_ids=IDS)[0]
        for given in (band, matrix)
    ]
    torch.testing.assert_close(draws[0], draws[1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_absent_features_hold_is_not_read(value):
    present = torch.tensor([[[True, False, True]], [[True, False, False]]])
    broken = X.masked_fill(~present[:, 0] & torch.tensor([True, True, False]), value)
    means = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.5, 0.0]], dtype=D)
    laws = (means, means.square() + 0.5, means - 1)
    found = quadratic_scores(broken, present, *laws)
    torch.testing.assert_close(found, quadratic_scores(X, present, *laws))
    assert found.isfinite().all()
