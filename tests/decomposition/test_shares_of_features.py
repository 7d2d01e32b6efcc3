"""Which share of a feature a group has, by the sizes of its part and of the rest."""

import pytest
import torch

from pyxai.decomposition.relevant_inputs import _shares

D = torch.float64


@pytest.mark.parametrize("sign", [1, -1])
def test_sizes_of_part_and_rest_count(sign):
    x = sign * torch.tensor([[1.0, 1.0, 1.0, -2.0, 0.0]], dtype=D)
    part = sign * torch.tensor([[[-1.0, 0.25, 3.0, -2.0, 0.0]]], dtype=D)
    # The last feature is 0 in both: it has the mean share of the others.
    shares = [1 / 3, 1 / 4, 3 / 5, 1.0]
    expected = torch.tensor([[[*shares, sum(shares) / 4]]], dtype=D)
    torch.testing.assert_close(_shares(part, x), expected)


def test_a_group_of_nothing_has_no_share():
    x = torch.zeros(1, 3, dtype=D)
    assert _shares(torch.zeros(1, 1, 3, dtype=D), x).tolist() == [[[0.0, 0.0, 0.0]]]
