"""Contextual decomposition of an MNIST-size net: all 784 pixels at once against one at a time.

One at a time by the same call, of which only every 28th is timed; and the authors' way with the
rules written out in torch for this net alone: both parts and a zero image go through every
layer. The scores agree to 1e-5.
"""

import torch
from _timing import compare
from torch import nn
from torch.nn import functional

from pyxai.decomposition import ContextualDecomposition


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    ).eval()


def one_at_a_time(net, x, mask):
    """Decompose by the rules of the authors' code, both parts explicit."""
    beta, gamma = x * mask, x * (1 - mask)
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            bias = layer(torch.zeros_like(beta))
            beta, gamma = layer(beta) - bias, layer(gamma) - bias
            share = (beta.abs() + 1e-20) / (beta.abs() + gamma.abs() + 2e-20)
            beta, gamma = beta + bias * share, gamma + bias * (1 - share)
        elif isinstance(layer, nn.ReLU):
            total = (beta + gamma).relu()
            beta = beta.relu()
            gamma = total - beta
        elif isinstance(layer, nn.MaxPool2d):
            _, places = functional.max_pool2d(beta + gamma, 2, return_indices=True)
            beta, gamma = (
                part.flatten(2).gather(2, places.flatten(2)).view(places.shape)
                for part in (beta, gamma)
            )
        else:
            beta, gamma = beta.flatten(1), gamma.flatten(1)
    return beta


def test_pixels(benchmark):
    torch.set_num_threads(1)
    net, x = network(), torch.randn(1, 1, 28, 28)
    masks = torch.eye(784).view(1, 784, 1, 28, 28)
    cd = ContextualDecomposition(net, ties="official")

    def ours():
        return cd.scores(x, masks)

    def theirs():
        with torch.no_grad():
            return torch.cat([one_at_a_time(net, x, mask) for mask in masks[0]])

    def single():
        return torch.cat([cd.scores(x, masks[:, [g]]) for g in range(0, 784, 28)], 1)

    found = ours()
    torch.testing.assert_close(found[0], theirs(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, ::28], single(), rtol=1e-5, atol=1e-5)
    ratios = compare(
        benchmark, ours, {"28 groups one at a time": single, "rules written out": theirs}, rounds=3
    )
    assert 15 * ratios["28 groups one at a time"] <= 28
