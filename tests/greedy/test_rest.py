"""Players that no round reached are ordered by what the last round said of them."""

import pytest
import torch

from pyxai.greedy import greedy_rounds

SCORES = torch.tensor([[0.5, -4.0, 3.0, -1.0, 2.0]])


@pytest.mark.parametrize(("absolute", "order"), [(False, [2, 4, 0, 3, 1]), (True, [1, 2, 4, 3, 0])])
def test_the_rest_follows_the_last_scores(absolute, order):
    result = greedy_rounds(
        lambda *_: SCORES, 1, 5, n_select=1, n_order=5, rounds=1, absolute=absolute
    )
    assert result.order.tolist() == [order]
    # Scores keep their sign, whatever they were ordered by.
    assert result.raw.tolist() == [SCORES[0, order].tolist()]
