"""Integrated gradients against the bare model on the same rows, and against captum 0.9.0.

The bare model runs forward and backward on ``batch * n_steps`` rows at its best batch size. The
claim is at most 1.15 times its time: processor time of one thread, and wall time of two.
"""

import warnings

import captum.attr
import pytest
import torch
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
