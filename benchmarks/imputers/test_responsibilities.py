"""Responsibilities of a diagonal normal mixture: products of matrices against the broadcast form.

At the size of pictures of two digits side by side: 1000 rows of 28 x 56 pixels, 100 components.
Ours is in float64, so that a component that is drawn does not depend on the rows beside; the
formula as it is written is timed in float64 too, and in float32. Takes some 6 GB of memory.
"""

import torch
from _timing import compare

from pyxai.imputers import GaussianMixture

ROWS, COMPONENTS, FEATURES = 1000, 100, 28 * 56


def test_responsibilities(benchmark):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, FEATURES, generator=generator)
    present = torch.rand(ROWS, 1, FEATURES, generator=generator) < 0.5
    weights = torch.rand(COMPONENTS, generator=generator)
    means = torch.rand(COMPONENTS, FEATURES, generator=generator)
    variances = 0.05 + torch.rand(COMPONENTS, FEATURES, generator=generator)
    imputer = GaussianMixture.from_parameters(weights, means, variances)

    def ours():
        return imputer.responsibilities(x, present)[:, 0]

    def broadcast(dtype):
        parts = (x.to(dtype), weights.to(dtype), means.to(dtype), variances.to(dtype))

        def run():
            values, shares, centres, spread = parts
            squares = (values[:, None] - centres).square() / spread + spread.log()
            logs = (shares / shares.sum()).log()
            return (logs - 0.5 * (present * squares).sum(2)).softmax(1)

        return run

    peers = {
        "broadcast, float64": broadcast(torch.float64),
        "broadcast, float32": broadcast(torch.float32),
    }
    torch.testing.assert_close(ours(), peers["broadcast, float64"](), atol=1e-9, rtol=0)
    compare(benchmark, ours, peers, rounds=3)
