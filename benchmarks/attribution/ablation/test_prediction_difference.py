"""Prediction difference over 10 background rows: partial runs of the model against whole ones.

One thread, one image, random weights. The net of dense layers has its pixels as features and
groups of 16 of them, the conv net (of the shape of ResNet-18) patches of 8 pixels at 64.
"""

import pytest
import torch
from _floor import mlp
from _timing import compare
from deep_nets import resnet18
from torch import nn

from pyxai.attribution import PredictionDifference
from pyxai.runner import path_noted

N_ROWS = 10


def dense(width):
    torch.manual_seed(0)
    mask = None if width == 1 else torch.arange(784)[None] // width
    return mlp(784, 256, 10), torch.randn(1, 784), torch.randn(N_ROWS, 784), mask


def conv(width):
    torch.manual_seed(0)
    model = resnet18(32, 10).eval()
    for module in model.modules():  # torch's own start lets a deep net forget its input
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    places = torch.arange(64) // width
    mask = places[:, None] * (64 // width) + places
    return model, torch.randn(1, 3, 64, 64), torch.randn(N_ROWS, 3, 64, 64), mask[None, None]


@pytest.mark.parametrize(
    ("make", "width", "path"),
    [(dense, 1, "linear prefix"), (dense, 16, "linear prefix"), (conv, 8, "incremental")],
)
def test_prediction_difference(benchmark, make, width, path):
    torch.set_num_threads(1)
    model, x, background, mask = make(width)
    explain = PredictionDifference(model).attribute

    def ask(fast):
        return explain(x, background, target=0, feature_mask=mask, score="log_odds", fast_path=fast)

    with path_noted() as paths:
        fast = ask(True)
    assert paths == [path]
    direct = ask(False)
    with torch.no_grad():
        scale = max(1.0, float(model(x).abs().max()))
    assert (fast - direct).abs().max() <= 1e-5 * scale
    compare(
        benchmark,
        lambda: ask(True),
        {"direct": lambda: ask(False)},
        rounds=7 if make is dense else 3,
    )
