"""The next players of a batch against masking the scores and torch.topk."""

import torch
from _timing import compare

from pyxai.ops import greedy_select, pack_masks

BATCH, FEATURES, N_SELECT = 16, 50_176, 512  # 224 x 224


def test_greedy_select(benchmark):
    torch.set_num_threads(2)
    scores = torch.randn(BATCH, FEATURES)
    taken = torch.rand(BATCH, FEATURES) < 0.1
    packed = pack_masks(taken)

    def theirs():
        values, indices = scores.masked_fill(taken, -torch.inf).topk(N_SELECT, dim=1)
        return taken.scatter(1, indices, True), indices, values

    selected = packed.clone()
    indices, values = greedy_select(scores, selected, N_SELECT)
    mask, expected, best = theirs()
    assert torch.equal(indices, expected)
    assert torch.equal(values, best)
    assert torch.equal(selected, pack_masks(mask))
    compare(
        benchmark,
        lambda: greedy_select(scores, packed.clone(), N_SELECT),
        {"masked_fill + topk + scatter": theirs},
        moved_bytes=scores.nbytes,
    )
