"""Integrated gradients against the bare model on the same rows, and against captum 0.9.0.

The bare model runs forward and backward on ``batch * n_steps`` rows at its best batch size. The
claim is at most 1.15 times its time: processor time of one thread, and wall time of two.
"""

import warnings
from functools import partial

import _digits
import captum.attr
import pytest
import torch
from _adaptive import rows_taken
from _floor import bare_gradients, best_of, mlp
from _timing import compare

from pyxai.attribution import IntegratedGradients

BATCH, FEATURES, STEPS = 512, 30, 50


@pytest.mark.parametrize("threads", [1, 2])
def test_integrated_gradients(benchmark, threads):
    torch.set_num_threads(threads)
    model = mlp(FEATURES, 128, 128, 2)
    x = torch.randn(BATCH, FEATURES)
    rows = torch.randn(BATCH * STEPS, FEATURES)
    ours, theirs = IntegratedGradients(model), captum.attr.IntegratedGradients(model)

    def captum_call(size=None):
        return lambda: theirs.attribute(
            x, target=0, n_steps=STEPS, internal_batch_size=size and max(size, BATCH)
        )

    torch.testing.assert_close(
        ours.attribute(x, target=0, n_steps=STEPS), captum_call()().detach(), rtol=1e-5, atol=1e-6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's, about the batch size it was given
        compare(
            benchmark,
            lambda: ours.attribute(x, target=0, n_steps=STEPS),
            {
                "bare model": best_of(lambda size: bare_gradients(model, rows, size)),
                "captum, defaults": captum_call(),
                "captum, best batch": best_of(captum_call),
            },
            rounds=9,
        )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_adaptive_steps(benchmark, output, seed):
    """Rows of the model for an example until its gap is 1 %, against the 50 of a fixed rule.

    Errors are sums of absolute values, as shares of those of the attributions: against 300 points
    in float64, of the first 25 images.
    """
    net, x, target = _digits.trained(seed, n_images=200)[:3]
    model = net if output == "logit" else torch.nn.Sequential(net, torch.nn.Softmax(1))
    method = IntegratedGradients(model)
    with torch.no_grad():
        moved = (model(x) - model(torch.zeros_like(x))).gather(1, target[:, None])[:, 0].tolist()
    calls = [
        partial(method.attribute, each, None, label, n_steps="auto", return_convergence_delta=True)
        for each, label in zip(x.split(1), target.tolist(), strict=True)
    ]
    calls[0]()  # which measures the model
    found, said = benchmark.pedantic(rows_taken, (model, calls, moved), rounds=1)
    few, labels = x[:25], target[:25]
    fixed = method.attribute(few, target=labels, n_steps=50)
    exact = IntegratedGradients(model.double()).attribute(
        few.double(), target=labels, n_steps=300, method="midpoint"
    )
    errors = [
        (each - exact).abs().flatten(1).sum(1) / exact.abs().flatten(1).sum(1)
        for each in (torch.cat(found[:25]), fixed)
    ]
    benchmark.extra_info |= {
        **said,
        "error, median": float(errors[0].median()),
        "error of 50 steps, median": float(errors[1].median()),
    }
