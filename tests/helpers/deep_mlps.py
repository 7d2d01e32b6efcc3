"""Nets of two hidden layers in float64, and points to ask about."""

import torch
from torch import nn


def mlp(activation, width=12, n=6, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(n, width), activation, nn.Linear(width, width), activation, nn.Linear(width, 1)
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(scale * draw / parameter.shape[-1] ** 0.5)
    return nn.Sequential(net, nn.Flatten(0)).eval()


def points(batch, n, seed=1):
    return torch.randn(batch, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
