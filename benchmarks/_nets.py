"""The nets that rules on traced models are measured on, and the shapes of their inputs."""

from __future__ import annotations

from deep_nets import Function, resnet18, vgg
from torch import nn

__all__ = ["NETS"]


def transformer():
    layer = nn.TransformerEncoderLayer(128, 4, 256, activation="gelu", batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2)
    return Function(lambda parts, x: parts[1](parts[0](x).mean(1)), encoder, nn.Linear(128, 5))


NETS = {
    "vgg": (vgg, (32, 3, 32, 32)),
    "resnet18": (lambda: resnet18(32), (8, 3, 64, 64)),
    "transformer": (transformer, (8, 64, 128)),
}
