"""Training steps with many masks and imputations against plain torch; memory of the soft top k."""

from __future__ import annotations

import math

import pytest
import torch
from _timing import compare
from torch import nn

from pyxai._timing import extra_peak_bytes
from pyxai.imputers import Marginal
from pyxai.lex import LEX, REBAR, Subset, accumulate, relaxed_top_k, tabular_networks

BATCH, FEATURES, MASKS, DRAWS, KEPT = 1000, 11, 10, 10, 5


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, FEATURES, generator=generator)
    background = torch.randn(5000, FEATURES, generator=generator)
    return x, (x[:, 0] > 0).long(), background


def plain_top_k(scores, k, temperature):
    total = torch.zeros_like(scores)
    for _ in range(k):
        weights = (scores / temperature).softmax(-1)
        total = total + weights
        scores = scores + (1 - weights).clamp(min=1e-7).log()
    return total


def plain_loss(predictor, selector, x, y, background):
    """Return the bound as one would write it down: all rows at once."""
    gumbel = -(-torch.rand(BATCH, MASKS, FEATURES).clamp(min=1e-7).log()).log()
    keys = selector(x)[:, None] + gumbel
    soft = plain_top_k(keys, KEPT, 0.5)
    hard = torch.zeros_like(soft).scatter(-1, keys.topk(KEPT).indices, 1.0)
    masks = (hard + soft - soft.detach())[:, :, None]
    drawn = background[torch.randint(len(background), (BATCH, MASKS, DRAWS))]
    rows = masks * x[:, None, None] + (1 - masks) * drawn
    log_p = predictor(rows).log_softmax(-1)
    chosen = log_p.gather(-1, y[:, None, None, None].expand(-1, MASKS, DRAWS, 1)).flatten(1)
    return -(chosen.logsumexp(1) - math.log(MASKS * DRAWS)).mean()


@pytest.mark.parametrize("threads", [1, 2])
def test_training_step(benchmark, threads):
    x, y, background = data()
    networks = tabular_networks(FEATURES, 2, seed=0)
    model = LEX(
        *networks,
        law=Subset(KEPT),
        imputer=Marginal(background, 1),
        n_masks=MASKS,
        n_imputations=DRAWS,
    )

    def clear():
        for parameter in model.parameters():
            parameter.grad = None

    def ours():
        clear()
        return accumulate(model, x, y, seed=1)["bound"]

    def plain():
        clear()
        loss = plain_loss(*networks, x, y, background)
        loss.backward()
        return loss.item()

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert abs(ours() - plain()) < 0.01  # both are means over 100,000 random rows
        compare(benchmark, ours, {"plain torch": plain}, rounds=5)
    finally:
        torch.set_num_threads(before)


def test_rebar_step_against_three_forward_and_backward_passes(benchmark):
    x, y, background = data()
    networks = tabular_networks(FEATURES, 2, seed=0)
    model = LEX(*networks, estimator=REBAR(), imputer=Marginal(background, 1), n_masks=MASKS)
    rows = torch.randn(BATCH * MASKS, FEATURES, requires_grad=True)

    def passes():
        for _ in range(3):
            networks[0](rows).log_softmax(-1)[:, 0].sum().backward()

    def ours():
        accumulate(model, x, y, seed=1)

    compare(benchmark, ours, {"three passes": passes}, rounds=5)


def test_relaxed_top_k(benchmark):
    rows, groups, k = 100, 1568, 157
    scores, grads = torch.randn(rows, groups, requires_grad=True), torch.randn(rows, groups)

    def ours():
        return torch.autograd.grad(relaxed_top_k(scores, k), scores, grads)[0]

    def plain():
        return torch.autograd.grad(plain_top_k(scores, k, 0.5), scores, grads)[0]

    for name, run in (("ours", ours), ("plain torch", plain)):  # before anything is warm
        used = extra_peak_bytes(run)
        benchmark.extra_info[f"MB {name}"] = None if used is None else round(used / 2**20)
    torch.testing.assert_close(ours(), plain(), rtol=1e-3, atol=1e-4)
    compare(benchmark, ours, {"plain torch": plain}, rounds=5)


def test_networks_are_those_that_the_ratio_is_for():
    predictor, _ = tabular_networks(FEATURES, 2)
    assert [each.out_features for each in predictor if isinstance(each, nn.Linear)] == [200, 200, 2]
