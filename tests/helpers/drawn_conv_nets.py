"""Small conv nets that hypothesis draws."""

import torch
from hypothesis import strategies as st
from torch import nn

__all__ = ["conv_nets"]

KINDS = ["conv", "conv", "conv", "max", "average", "norm", "pad", "joined", "joined"]


class Residual(nn.Module):
    def __init__(self, inner, join):
        super().__init__()
        self.inner, self.join = inner, join

    def forward(self, x):
        return self.join(x, self.inner(x))


def joined(draw, channels):
    spread = draw(st.integers(1, 2))
    inner = nn.Conv2d(channels, channels, 3, padding=spread, dilation=spread)
    if draw(st.booleans()):
        inner = nn.Sequential(inner, nn.GELU(), nn.Conv2d(channels, channels, 1))
    joins = (torch.add, torch.mul, torch.maximum, lambda a, b: torch.cat([a, b], 1))
    return Residual(inner, draw(st.sampled_from(joins)))


def drawn_layer(draw, channels):
    kernel, stride = ((draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (3, 2))
    kind = draw(st.sampled_from(KINDS))
    if kind == "conv":
        groups = draw(st.sampled_from([1, channels]))
        return nn.Conv2d(
            channels,
            2 * channels if groups == 1 else channels,
            kernel,
            stride,
            (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
            draw(st.integers(1, 2)),
            groups,
            bias=draw(st.booleans()),
        )
    padding = tuple(draw(st.integers(0, size // 2)) for size in kernel)
    if kind == "max":
        return nn.MaxPool2d(
            kernel, stride, padding, draw(st.integers(1, 2)), ceil_mode=draw(st.booleans())
        )
    if kind == "average":
        return nn.AvgPool2d(kernel, stride, padding, draw(st.booleans()), draw(st.booleans()))
    if kind == "norm":
        norm = nn.BatchNorm2d(channels)
        norm.running_mean.uniform_(-1, 1)
        return nn.Sequential(
            norm, draw(st.sampled_from([nn.ReLU(), nn.SiLU(), nn.PReLU(channels)]))
        )
    if kind == "pad":
        return nn.ConstantPad2d(tuple(draw(st.integers(0, 2)) for _ in range(4)), 0.5)
    return joined(draw, channels)


@st.composite
def conv_nets(draw):
    """A conv net in float64 and images, not square, that it runs on."""
    torch.manual_seed(draw(st.integers(0, 10)))
    x = torch.randn(draw(st.integers(1, 2)), 2, draw(st.integers(7, 16)), draw(st.integers(7, 16)))
    layers, value = [], x
    for _ in range(draw(st.integers(1, 5))):
        layer = drawn_layer(draw, value.shape[1]).eval()
        try:
            value = layer(value)
        except RuntimeError:  # larger than its map
            continue
        layers.append(layer)
    head = draw(st.sampled_from(["flat", "pooled", "maps"]))
    if head == "flat":
        layers += [nn.Flatten(), nn.Linear(value[0].numel(), 3)]
    if head == "pooled":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(value.shape[1], 3)]
    target = (0, value.shape[2] // 2, value.shape[3] - 1) if head == "maps" else 1
    return nn.Sequential(*layers).double().eval(), x.double(), target
