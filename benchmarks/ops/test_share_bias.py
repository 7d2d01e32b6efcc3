"""Shares of a bias in one pass against the formula in torch, all rows at once and a few at a time.

The first layer of an MNIST-size net, where each of 98 groups of pixels has its share.
"""

import torch
from _timing import compare

from pyxai.ops import share_bias

ROWS, SIZE = 98, (10, 24, 24)


def test_share_bias(benchmark):
    torch.set_num_threads(2)
    linear, total = torch.randn(ROWS, *SIZE), torch.randn(1, *SIZE)
    bias, magnitude = torch.randn(10, 1, 1), total.abs() + 1
    limit = magnitude * 2**-22

    def shared(part):
        mine, others = part.abs(), (total - part).abs_()
        little = (others <= 2 * limit).any()
        if not little:
            return torch.addcmul(part, mine.div_(others.add_(mine)), bias)
        both = mine + others
        tied = both <= 2 * limit
        found = torch.addcmul(part, mine / both.masked_fill(tied, 1), bias)
        return torch.where((others <= limit) & ~tied, total + bias, found)

    def ours():
        return share_bias(linear, bias, total, magnitude=magnitude, rounding=2**-22)[0]

    torch.testing.assert_close(ours(), shared(linear), rtol=1e-5, atol=1e-6)
    compare(
        benchmark,
        ours,
        {
            "torch": lambda: shared(linear),
            "torch, few rows": lambda: torch.cat([shared(part) for part in linear.split(22)]),
        },
        moved_bytes=2 * linear.nbytes,
    )
