"""Rows of masked inputs against the cheapest write of as many bytes and against torch.where."""

import pytest
import torch
from _timing import compare

from pyxai.ops import masked_perturb, pack_masks, unpack_masks

ROWS, FEATURES = 256, 150_528  # 3 x 224 x 224


def players_of(kind):
    """Feature-to-player maps: pixels of their own, runs of 196, any 4096 groups."""
    if kind == "identity":
        return None, FEATURES
    if kind == "runs":
        return (torch.arange(FEATURES) // 196).int(), FEATURES // 196
    generator = torch.Generator().manual_seed(0)
    return torch.randint(4096, (FEATURES,), generator=generator).int(), 4096


@pytest.mark.parametrize("kind", ["identity", "runs", "arbitrary"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
def test_masked_perturb(benchmark, kind, dtype):
    torch.set_num_threads(2)
    players, n_players = players_of(kind)
    inputs, baselines = torch.randn(2, 1, FEATURES).to(dtype)
    masks = pack_masks(torch.rand(ROWS, n_players) < 0.5)
    keep = unpack_masks(masks, n_players)
    keep = keep if players is None else keep[:, players.long()]
    out = torch.empty(1, ROWS, 1, FEATURES, dtype=dtype)
    rows = out.view(ROWS, FEATURES)

    def ours():
        masked_perturb(inputs, baselines, masks, players, n_players=n_players, out=out)

    ours()
    assert torch.equal(rows, torch.where(keep, inputs, baselines))
    compare(
        benchmark,
        ours,
        {
            "out.copy_(x.expand)": lambda: rows.copy_(inputs.expand(ROWS, FEATURES)),
            "torch.where": lambda: torch.where(keep, inputs, baselines),
            "torch.where(out=)": lambda: torch.where(keep, inputs, baselines, out=rows),
        },
        moved_bytes=out.nbytes,
    )


def test_many_small_rows(benchmark):
    """What a table method asks for: 512 examples of 30 features, 50 masks each."""
    torch.set_num_threads(2)
    inputs = torch.randn(512, 30)
    masks = pack_masks(torch.rand(50, 30) < 0.5)
    keep = unpack_masks(masks, 30)
    ours = lambda: masked_perturb(inputs, 0.0, masks)  # noqa: E731
    eager = lambda: torch.where(keep, inputs.unsqueeze(1), torch.zeros(()))  # noqa: E731
    assert torch.equal(ours().squeeze(2), eager())
    compare(benchmark, ours, {"torch.where": eager})
