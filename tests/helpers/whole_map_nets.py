"""Conv nets with an op that reads maps as a whole."""

import torch
import torch.nn.functional as F
from deep_nets import Function
from torch import nn

__all__ = ["WHOLE", "whole_map_net"]


def attention(parts, x):
    tokens = parts[0](x).flatten(2).transpose(1, 2)
    return parts[2](F.scaled_dot_product_attention(tokens, parts[1](tokens), tokens).mean(1))


def upsampling(parts, x):
    small = F.relu(parts[0](x))
    large = F.interpolate(small, scale_factor=2.0, mode="bilinear")
    return parts[1](large + parts[2](large)).mean((2, 3))


def gated(parts, x):
    maps = F.relu(parts[0](x))
    return (maps * torch.sigmoid(parts[1](maps.mean((2, 3), keepdim=True)))).amax((2, 3))


def positions(parts, x):
    maps = parts[0](x) + parts[1].weight.view(1, 1, 4, 4) * torch.linspace(0, 1, 4).double()
    return torch.where(maps > 0, maps, torch.zeros_like(maps)).flatten(1)[:, ::3]


WHOLE = {
    "attention": (attention, nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 4), nn.Linear(4, 2)),
    "upsampling": (
        upsampling, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3), nn.Conv2d(4, 4, 3, padding=1)
    ),
    "a gate of each channel": (gated, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)),
    "numbers for each place": (positions, nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 4)),
    "normalised groups": (
        lambda parts, x: F.relu(parts[1](parts[0](x))).flatten(1)[:, :7],
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4),
    ),
    "transposed": (
        lambda parts, x: parts[1](parts[0](x)).mean((2, 3)),
        nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3, 2),
    ),
    "where the largest is": (
        lambda parts, x: parts[1](*parts[2](parts[0](x))).sum((2, 3)),
        nn.Conv2d(3, 4, 3), nn.MaxUnpool2d(2), nn.MaxPool2d(2, return_indices=True),
    ),
    "shapes": (
        lambda parts, x: parts[0](x).view(x.size(0), -1).reshape(x.shape[0], 4, -1).sum(2)
        + torch.zeros_like(parts[0](x)).sum((2, 3)),
        nn.Conv2d(3, 4, 3),
    ),
}  # fmt: skip


def whole_map_net(name):
    """Return a net in float64 and two images."""
    function, *parts = WHOLE[name]
    torch.manual_seed(0)
    net = Function(function, *parts).double().eval()
    return net, torch.randn(2, 3, 16, 16, dtype=torch.float64)
