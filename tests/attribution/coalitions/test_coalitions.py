"""Coalitions: rows that are equal get one number, however many words they are."""

import pytest
import torch

from pyxai.attribution.coalitions.coalitions import first_rows, group_rows


@pytest.mark.parametrize("n_words", [1, 2, 3, 5])
def test_equal_rows_get_one_number(n_words):
    generator = torch.Generator().manual_seed(n_words)
    # Few values of each word, with and without the sign bit, so that rows differ in one of them.
    values = torch.tensor([0, 1, -1, -(2**31), 2**31 - 1], dtype=torch.int64).int()
    words = values[torch.randint(5, (400, n_words), generator=generator)]
    group = group_rows(words)
    same = (words[:, None] == words[None]).all(-1)
    assert torch.equal(group[:, None] == group[None], same)
    assert torch.equal(group.unique(), torch.arange(int(group.max()) + 1))
    earlier = same.tril(-1).any(1)
    assert torch.equal(first_rows(words), (~earlier).nonzero()[:, 0])
