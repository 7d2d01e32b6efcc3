"""Models of four features that metrics are asked about, and rows for them."""

import torch
from torch import nn

WEIGHT = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)
ROWS = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, -1.0, 0.0]], dtype=torch.float64)


def linear(x):
    return x @ WEIGHT.to(x.dtype)


def classes(x):
    return torch.stack([linear(x), -linear(x), 0 * linear(x)], 1)


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)
    return nn.Sequential(*layers).double().eval()


def sample(batch=3, seed=0):
    return torch.randn(batch, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
