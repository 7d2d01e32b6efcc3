"""Ten targets in one call, against one target and against a call for each.

Processor time of one thread, 8 rows, by one target and by ten calls (below 1: less). Methods that
look at outputs only take the time of one target. Those of gradients go forward once and back ten
times: where both ways take the same, no less than 11 / 20 of the ten calls.
"""

import pytest
import torch
from _digits import trained
from _floor import mlp
from _timing import compare

import pyxai

TARGETS = list(range(10))
METHODS = {
    "saliency": {},
    "integrated_gradients": {},
    "feature_ablation": {},
    "kernel_shap": {},
    "lrp": {},
}


def wide_net():
    return mlp(784, 256, 128, 10), torch.rand(8, 784) + 0.1


def digits_net():
    digits = trained(n_images=8)
    return digits.model, digits.x


# Players of the wide net's 784 features, for the method that solves for all of them at once.
GROUPS = {"kernel_shap": {"feature_mask": torch.arange(784)[None] // 16}}


@pytest.mark.parametrize("make", [digits_net, wide_net])
@pytest.mark.parametrize("method", METHODS)
def test_several_targets(benchmark, method, make):
    torch.set_num_threads(1)
    model, x = make()
    options = GROUPS.get(method, {}) if make is wide_net else {}

    def one():
        return pyxai.explain(model, x, method=method, target=3, **options)

    def each():
        return [
            pyxai.explain(model, x, method=method, target=target, **options) for target in TARGETS
        ]

    def together():
        return pyxai.explain(model, x, method=method, targets=TARGETS, **options)

    for found, alone in zip(together(), each(), strict=True):
        largest = float(alone.attributions.abs().max())
        torch.testing.assert_close(
            found.attributions, alone.attributions, rtol=0, atol=1e-5 * largest
        )
    compare(benchmark, together, {"one target": one, "a call for each of 10": each}, rounds=7)
