"""Deep SHAP, 16 rows against 100 baselines, beside captum 0.9.0 and its unavoidable products.

captum runs both ends of every pair forward; here every row runs once. The claim is 5 times captum
on a net of 100 features with two hidden layers of 256, and on a small convolutional net. On wide
dense layers the products of the backward pass alone, shown as the floor, take a sixth of captum's
time, so that no more than 6 times can be had.
"""

import warnings

import captum.attr
import pytest
import torch
from _floor import mlp
from _timing import compare
from torch import nn

from pyxai.attribution import DeepLiftShap

ROWS, BASELINES = 16, 100


def convolutional():
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 16, 3)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(2304, 64), nn.ReLU(),
                         nn.Linear(64, 10))  # fmt: skip


NETS = {
    "20-64-10": (lambda: mlp(20, 64, 64, 10), (20,)),
    "100-256-10": (lambda: mlp(100, 256, 256, 10), (100,)),
    "784-512-10": (lambda: mlp(784, 512, 512, 10), (784,)),
    "convolutional": (convolutional, (1, 28, 28)),
}


@pytest.mark.parametrize("name", NETS)
def test_deep_lift_shap(benchmark, name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, shape = NETS[name]
    model = make().eval().requires_grad_(False)
    x, b = torch.randn(ROWS, *shape), torch.randn(BASELINES, *shape)
    target = torch.randint(10, (ROWS,))
    ours, theirs = DeepLiftShap(model), captum.attr.DeepLiftShap(model)
    peers = {}
    if len(shape) == 1:
        weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
        seed = torch.randn(ROWS * BASELINES, 10)

        def products():
            found = seed
            for weight in reversed(weights):
                found = found @ weight

        peers["products of the backward pass"] = products
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's, about hooks
        expected = theirs.attribute(x, b, target=target).detach()
        torch.testing.assert_close(
            ours.attribute(x, b, target=target), expected, rtol=1e-4, atol=1e-6
        )
        peers["captum"] = lambda: theirs.attribute(x, b, target=target)
        compare(benchmark, lambda: ours.attribute(x, b, target=target), peers, rounds=7)
