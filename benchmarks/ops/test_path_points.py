"""Points of a path against the cheapest write of as many bytes and against eager torch."""

import torch
from _timing import compare

from pyxai.ops import path_points

NODES, FEATURES = 256, 150_528  # 3 x 224 x 224


def test_path_points(benchmark):
    torch.set_num_threads(2)
    inputs, baselines = torch.randn(2, 1, FEATURES)
    nodes = torch.linspace(0, 1, NODES, dtype=torch.float64)
    steps = nodes.float().view(-1, 1, 1)
    out = torch.empty(NODES, 1, FEATURES)
    ours = lambda: path_points(inputs, baselines, nodes, out=out)  # noqa: E731
    eager = lambda: baselines + steps * (inputs - baselines)  # noqa: E731
    torch.testing.assert_close(ours(), eager())
    compare(
        benchmark,
        ours,
        {
            "out.copy_(x.expand)": lambda: out.copy_(inputs.expand_as(out)),
            "eager": eager,
            "torch.lerp(out=)": lambda: torch.lerp(baselines, inputs, steps, out=out),
        },
        moved_bytes=out.nbytes,
    )
