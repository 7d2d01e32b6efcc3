"""The nets that rules on traced models are measured on, with the shapes of their inputs, and one of
many blocks."""

from __future__ import annotations

import torch
from deep_nets import Function, resnet18, vgg
from torch import nn

__all__ = ["NETS", "residual_net"]


def transformer():
    layer = nn.TransformerEncoderLayer(128, 4, 256, activation="gelu", batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2)
    return Function(lambda parts, x: parts[1](parts[0](x).mean(1)), encoder, nn.Linear(128, 5))


NETS = {
    "vgg": (vgg, (32, 3, 32, 32)),
    "resnet18": (lambda: resnet18(32), (8, 3, 64, 64)),
    "transformer": (transformer, (8, 64, 128)),
}


class Block(nn.Module):
    """Two convolutions with batch norm, around which the input is carried."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, x):
        inner = self.norms[0](self.first(x)).relu()
        return (x + self.norms[1](self.second(inner))).relu()


def residual_net():
    """Return 50 residual blocks and one image for them."""
    torch.manual_seed(0)
    blocks = [Block(16) for _ in range(50)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *blocks, *head).eval()
    return net, torch.randn(1, 3, 16, 16)
