"""The CPU kernels share torch's threads, and no result depends on how many there are."""

import sys

import pytest
import torch
from torch_threads import threads

from pyxai import _C, ops


@pytest.mark.skipif(sys.platform != "linux", reason="built without OpenMP on other systems")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_kernels_run_on_as_many_threads_as_torch(count):
    with threads(count):
        assert _C.loop_threads() == count


BATCH, FEATURES, ROWS = 3, 4099, 40
generator = torch.Generator().manual_seed(0)
x, b = torch.randn(2, BATCH, FEATURES, generator=generator)
rows = torch.randn(ROWS, BATCH, FEATURES, generator=generator)
nodes = torch.linspace(0.05, 0.95, ROWS, dtype=torch.float64)
players = (torch.arange(FEATURES) % 70).int()
masks = ops.pack_masks(torch.rand(ROWS, 70, generator=generator) < 0.5)
hessian = torch.randn(BATCH, 200, 200, generator=generator)
examples = torch.arange(BATCH)


def greedy_select():
    selected = torch.zeros(BATCH, 3, dtype=torch.int32)
    scores = x.repeat(1, 30)
    wide = torch.zeros(BATCH, (scores.shape[1] + 31) // 32, dtype=torch.int32)
    return *ops.greedy_select(x, selected, 9, players, n_players=70), ops.greedy_select(
        scores, wide, 9
    )[0]


def soft_perturb():
    z = torch.rand(ROWS, 70, generator=torch.Generator().manual_seed(1)).requires_grad_()
    inputs = x.clone().requires_grad_()
    out = ops.soft_perturb(inputs, b, z, players)
    return out.detach(), *torch.autograd.grad(out.square().sum(), (z, inputs))


CALLS = {
    "greedy_select": greedy_select,
    "masked_affine": lambda: ops.masked_affine(
        x[:, :999], rows.flatten(0, 1)[None, :70, :999], masks
    ),
    "masked_perturb": lambda: ops.masked_perturb(x, b.unsqueeze(1), masks, players, n_players=70),
    "moebius_transform": lambda: ops.moebius_transform(x.flatten()[: 1 << 13].repeat(8).double()),
    "ordered_affine": lambda: ops.ordered_affine(
        x[:1, :999], rows.flatten(0, 1)[None, :70, :999], activation="relu"
    ),
    "pairwise_taylor_hessian": lambda: ops.pairwise_taylor_hessian(hessian, x[:, :200]),
    "path_accumulate": lambda: ops.path_accumulate(rows, nodes, x, b, players, n_players=70),
    "path_moments": lambda: ops.path_moments(rows, nodes),
    "path_points": lambda: ops.path_points(x, b, nodes, players),
    "philox_random": lambda: ops.philox_random(
        (FEATURES,), n_samples=ROWS, seed=3, example_ids=examples
    ),
    "player_sum": lambda: ops.player_sum(x.repeat(9, 3), players.repeat(3), n_players=70),
    "sample_coalitions": lambda: ops.sample_coalitions(70, 999, seed=3, example_ids=examples),
    "sample_permutations": lambda: ops.sample_permutations(70, 999, seed=3, example_ids=examples),
    "share_bias": lambda: ops.share_bias(rows.flatten(1), b.flatten(), rows[:1].flatten(1)),
    "soft_perturb": soft_perturb,
    "table_sums": lambda: ops.shapley_values_from_table(x.flatten()[: 1 << 13].repeat(8).double()),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_do_not_depend_on_the_number_of_threads(name):
    results = []
    for count in (1, 3):
        with threads(count):
            found = CALLS[name]()
        results.append(found if isinstance(found, tuple) else (found,))
    for single, several in zip(*results, strict=True):
        assert torch.equal(single, several)
