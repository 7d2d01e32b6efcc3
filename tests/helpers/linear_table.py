"""A table with a net for it, and a linear model whose loss is known for every set of columns."""

import torch
from torch import nn

N, D = 50, 6
WEIGHT = torch.tensor([0.5, -2.0, 0.0, 1.0, 3.0, -0.1], dtype=torch.float64)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net(seed=0, n_classes=3, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(D, 16), nn.ReLU(), nn.Linear(16, n_classes)]
    return nn.Sequential(*layers).to(dtype).eval()


def linear(rows):
    return rows @ WEIGHT


class LinearTable:
    """With the squared error, G is a quadratic form of the shown features."""

    x = draws(N, D)
    centred = x - x.mean(0)
    parts = centred * WEIGHT  # what each column adds to the output of each row
    y = linear(x)

    def loss_of(self, shown):
        return self.parts[:, [i for i in range(D) if i not in shown]].sum(1).square().mean()
