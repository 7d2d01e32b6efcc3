"""Nets on which DeepLIFT must be complete: the structures that hooks on modules get wrong."""

import functools

import torch
import torch.nn.functional as F
from torch import nn


class Function(nn.Module):
    """A model that calls ``function(modules, *inputs)``."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs):
        return self.function(self.parts, *inputs)


class Block(nn.Module):
    """A residual block with in-place ops and one ReLU used twice."""

    def __init__(self, width_in, width, stride):
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])
        self.relu = nn.ReLU(inplace=True)
        self.down = None
        if stride != 1 or width_in != width:
            conv = nn.Conv2d(width_in, width, 1, stride, bias=False)
            self.down = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        y += x if self.down is None else self.down(x)
        return self.relu(y)


def resnet18(width=4, n_classes=5):
    stem = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
    blocks, last = [], width
    for stage in range(4):
        size = width * 2**stage
        blocks += [Block(last, size, 1 if stage == 0 else 2), Block(size, size, 1)]
        last = size
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, n_classes)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *head)


def vgg(n_classes=5):
    layers, last = [], 3
    for width in (6, 8, 8):
        layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        last = width
    head = [
        nn.Flatten(),
        nn.Linear(8 * 2 * 2, 16),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(16, n_classes),
    ]
    return nn.Sequential(*layers, *head)


def transformer(activation="gelu", n_classes=5):
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2)
    head = nn.Linear(8, n_classes)
    return Function(lambda parts, x: parts[1](parts[0](x).mean(1)), encoder, head)


def lstm_classifier(n_classes=5):
    layer = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    return Function(
        lambda parts, x: parts[1](parts[0](x)[0][:, -1]), layer, nn.Linear(12, n_classes)
    )


def mixture(n_classes=5):
    """Products, division, softmax, extrema, choices and norms of one axis."""

    def forward(parts, x):
        a = parts[0](x)
        b = torch.softmax(parts[1](x), -1)
        c = a * b + torch.where(a > 0.1, a, 0.3 * a) / (1 + b)
        d = torch.maximum(c, a.flip(1)) - c.amax(1, keepdim=True) + F.normalize(a, dim=1)
        e = torch.einsum("bi,bj->bij", d, b).flatten(1)[:, :8]
        f = F.rms_norm(e, (8,)) + F.group_norm(e, 2) + e.std(1, keepdim=True) + F.log_softmax(e, 1)
        g = F.glu(torch.cat([f, e.cumsum(1)], 1)) + F.silu(f) + F.hardswish(e) + e.clamp(-0.2, 0.4)
        return parts[2](g)

    return Function(forward, nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, n_classes))


NETS = {
    "vgg": (vgg, (3, 32, 32)),
    "resnet18": (resnet18, (3, 32, 32)),
    "transformer": (transformer, (5, 8)),
    "lstm": (lstm_classifier, (4, 4)),
    "mixture": (mixture, (8,)),
}


@functools.cache
def build(name, batch=3, dtype=torch.float64):
    """Return a net in eval mode, inputs and random baselines; all calls share them."""
    make, shape = NETS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(-1, 1.5)
        x, b = torch.randn(2, batch, *shape, dtype=torch.float64).to(dtype)
    return model.to(dtype).eval(), x, b
