"""Taylor interactions against the bare model on the same number of rows."""

from __future__ import annotations

import torch
from _timing import compare
from torch import nn

from pyxai.taylor import harsanyi_dividends, pairwise_terms


def _floor(model, width, rows, per_pass=4096):
    """Return a call that runs the model on so many ready rows."""
    block = torch.rand(min(rows, per_pass), width)

    def run():
        with torch.inference_mode():
            for _ in range(-(-rows // per_pass)):
                model(block)

    return run


def test_all_effects_of_20_players(benchmark):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1)).requires_grad_(False)
    x = torch.rand(1, 20)
    small = harsanyi_dividends(model, x[:, :20], feature_mask=torch.arange(20)[None] // 4)
    assert small.residual.abs().max() < 1e-5
    compare(
        benchmark,
        lambda: harsanyi_dividends(model, x),
        {"bare model on 2**20 rows": _floor(model, 20, 2**20)},
        rounds=3,
    )


def test_all_pairs_of_784_players(benchmark):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 1)).requires_grad_(False)
    x = torch.rand(1, 784)
    compare(
        benchmark,
        lambda: pairwise_terms(model, x),
        {"bare model on 307 721 rows": _floor(model, 784, 307_721)},
        rounds=2,
    )


def test_hessian_pairs_of_196_patches(benchmark):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.GELU(), nn.Conv2d(16, 32, 3, 2, 1), nn.GELU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 1),
    ).requires_grad_(False)  # fmt: skip
    x = torch.rand(1, 3, 56, 56)
    side = torch.arange(14).repeat_interleave(4)
    patches = (side[:, None] * 14 + side)[None, None]

    def gradients():
        rows = x.expand(196, -1, -1, -1).clone().requires_grad_()
        return torch.autograd.grad(model(rows).sum(), rows)

    compare(
        benchmark,
        lambda: pairwise_terms(model, x, kind="taylor", feature_mask=patches),
        {"196 gradients of the bare model": gradients},
        rounds=3,
    )
