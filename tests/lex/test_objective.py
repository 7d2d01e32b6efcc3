"""Rows that masks leave, and outputs of rows, without training anything."""

import pytest
import torch
from lex_problems import small_data, small_lex, standard_normal

from pyxai.imputers import Constant
from pyxai.lex import Groups
from pyxai.lex.objective import Batch, _first, by_row, completed

OWNERS = torch.tensor([0, 2, 1, 0, 2])


@pytest.mark.parametrize("groups", [None, Groups(OWNERS)])
@pytest.mark.parametrize("n_draws", [1, 3])
def test_rows_of_soft_masks_lie_between_draws_and_inputs(groups, n_draws):
    lex = small_lex(groups=groups, imputer=standard_normal())
    x, y = small_data(4)
    batch, count = Batch(x, y, torch.arange(4)), 5 if groups is None else 3

    def rows(masks, smooth=True):
        found = completed(lex, masks, batch, 7, n_draws=n_draws, smooth=smooth)
        assert found.shape == (4, 2 * n_draws, 5)
        return found

    ones = torch.ones(4, 2, count, dtype=torch.float64)
    nothing, whole = rows(0 * ones), rows(ones)
    torch.testing.assert_close(whole, x[:, None].expand_as(whole))
    assert nothing.flatten(1).std(1).min() > 0
    soft = torch.rand(4, 2, count, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = soft if groups is None else soft[..., OWNERS]
    weights = weights.repeat_interleave(n_draws, 1)
    torch.testing.assert_close(rows(soft), nothing + weights * (whole - nothing))
    # Masks of 0 and 1 leave the same rows where they keep jumps.
    hard = (soft > 0.5).double()
    kept = weights.gt(0.5)
    found = rows(hard, smooth=False)
    torch.testing.assert_close(found[kept], whole[kept])
    assert (found[~kept] != whole[~kept]).all()


def test_as_many_draws_as_the_model_asks_for():
    x, y = small_data(4)
    batch, ones = Batch(x, y, torch.arange(4)), torch.ones(4, 2, 5, dtype=torch.float64)
    lex = small_lex(imputer=standard_normal(), n_imputations=3, outer_imputations=2)
    assert completed(lex, ones, batch, 0).shape == (4, 12, 5)
    assert completed(small_lex(imputer=Constant(0.0)), ones, batch, 0).shape == (4, 2, 5)


def test_outputs_of_several_tensors_are_cut_alike():
    one, two = torch.arange(12.0).view(6, 2), torch.arange(6.0)
    rows = by_row((one, two), 3)
    assert rows[0].tolist() == one.view(3, 2, 2).tolist()
    assert rows[1].tolist() == two.view(3, 2).tolist()
    first = _first((one, two), 3, 2)
    assert first[0].tolist() == [[0, 1], [4, 5], [8, 9]]
    assert first[1].tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match=r"predictor must return one row for each of 9, got .*\[6"):
        _first(one, 3, 3)
