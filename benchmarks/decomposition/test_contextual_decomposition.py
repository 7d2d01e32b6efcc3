"""Contextual decomposition of an MNIST-size net: all 784 pixels at once against one at a time.

One at a time by the same call, of which only every 28th is timed; and the authors' way with the
rules written out in torch for this net alone: both parts and a zero image go through every
layer. The scores agree to 1e-5.
"""

import functools

import pytest
import torch
from _timing import compare
from torch import nn
from torch.nn import functional

from pyxai._timing import interleave
from pyxai.decomposition import ACD, ContextualDecomposition
from pyxai.masks import patches


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


def vgg(size):
    """Return a net of VGG's form, eight convolutions with 16 to 64 channels."""
    layers, last = [], 3
    for width in (16, 32, 64, 64):
        for channels in (last, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers, last = [*layers, nn.MaxPool2d(2)], width
    head = [nn.Linear(64 * (size // 16) ** 2, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *head).eval()


@pytest.mark.parametrize(("size", "cell"), [(64, 8), (64, 4), (128, 16)])
def test_windows(benchmark, size, cell):
    """Patches of a conv net, and hierarchies that grow from them, in windows and on whole maps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net, coarse = vgg(size), torch.randn(1, 3, size // 8, size // 8)
    x = functional.interpolate(coarse, size=(size, size), mode="bilinear")
    x += 0.3 * torch.randn_like(x)
    mask = patches(x, cell)
    ways = {fast: ContextualDecomposition(net, fast_path=fast) for fast in (True, False)}

    def scores(fast):
        return ways[fast].attribute(x, 3, feature_mask=mask)

    def grown(fast, variant):
        acd = ACD(None, scorer=ways[fast], variant=variant)
        return acd.agglomerate(x, 3, feature_mask=mask)[0]

    torch.testing.assert_close(scores(True), scores(False), rtol=1e-4, atol=1e-6)
    for variant in ("queue", "official"):
        calls = {str(fast): functools.partial(grown, fast, variant) for fast in (True, False)}
        times = interleave(calls, rounds=3)
        processor = [[taken.processor for taken in times[name]] for name in calls]
        benchmark.extra_info[f"ACD, {variant}, windows / whole maps"] = round(
            min(processor[0]) / min(processor[1]), 3
        )
    ratios = compare(
        benchmark, lambda: scores(True), {"whole maps": lambda: scores(False)}, rounds=3
    )
    assert ratios["whole maps"] < 1
