"""Small models whose first layer can be run once a path, and some whose cannot."""

import hypothesis.strategies as st
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pyxai.game import linear_path

WIDE = torch.float64


def taken_always():
    """Take the path whatever it saves; a fixture's body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_path, "_pays", lambda *sizes: True)
        patch.setattr(linear_path, "_LEAST_READ", 0)
        yield


class FirstLayerRows(TorchDispatchMode):
    """Count the rows that are multiplied by a matrix with so many rows."""

    def __init__(self, width):
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.addmm.default and args[1].shape[1] == self.width:
            self.rows += args[1].shape[0]
        return func(*args, **(kwargs or {}))


class Before(nn.Module):
    """What models do to their inputs before the first layer."""

    def __init__(self, kind, n_features):
        super().__init__()
        self.kind = kind
        self.register_buffer("mean", torch.randn(n_features))
        self.register_buffer("scale", torch.rand(n_features) + 0.5)

    def forward(self, x):
        if self.kind == "normalise":
            return (x - self.mean) / self.scale
        return 1 - x.mul(2.0) if self.kind == "shift" else x


class Around(nn.Module):
    """The input goes around the first layer."""

    def __init__(self, n_features):
        super().__init__()
        self.layer = nn.Linear(n_features, n_features)

    def forward(self, x):
        return x + self.layer(x)


_SIZES = {"dense": (6,), "matrix": (2, 3), "conv1d": (2, 4), "conv2d": (2, 3, 3), "tokens": (2, 3)}
_ALONE = {**_SIZES, "norm": (6,)}
_ALL = {**_ALONE, "around": (6,), "tanh": (6,)}


@st.composite
def models(draw, *, masks=True):
    """Return a model, inputs, a baseline, a feature mask, and whether its first layer is alone."""
    torch.manual_seed(draw(st.integers(0, 99)))
    form = draw(st.sampled_from([*_ALL]))
    sizes = _ALL[form]
    first = {
        "dense": lambda: [nn.Linear(6, 5)],
        "norm": lambda: [nn.BatchNorm1d(6), nn.Linear(6, 5)],
        "matrix": lambda: [nn.Flatten(), nn.Linear(6, 5, bias=draw(st.booleans()))],
        "conv1d": lambda: [nn.Conv1d(2, 3, draw(st.integers(1, 3)), padding=1)],
        "conv2d": lambda: [nn.Conv2d(2, 4, 2, stride=draw(st.integers(1, 2)), groups=2)],
        "tokens": lambda: [nn.Linear(3, 5)],
        "around": lambda: [Around(6)],
        "tanh": lambda: [nn.Tanh(), nn.Linear(6, 5)],
    }[form]()
    kind = draw(st.sampled_from([None, "none", "normalise", "shift"]))
    layers = first if kind is None else [Before(kind, sizes[-1]), *first]
    if form.startswith("conv") and draw(st.booleans()):
        norm = nn.BatchNorm1d if form == "conv1d" else nn.BatchNorm2d
        layers.append(norm(first[0].out_channels))
    middle = draw(st.sampled_from([nn.ReLU, nn.Tanh]))
    layers += [middle(), nn.Flatten(), nn.LazyLinear(4), nn.Tanh(), nn.Linear(4, 3)]
    if middle is nn.ReLU and draw(st.booleans()):
        layers[layers.index(next(m for m in layers if type(m) is nn.ReLU))].inplace = True
    model = nn.Sequential(*layers).to(WIDE)
    model(torch.randn(4, *sizes, dtype=WIDE))  # statistics of the norms
    batch = draw(st.integers(1, 3))
    x = torch.randn(batch, *sizes, dtype=WIDE)
    start = draw(st.sampled_from([None, 0.3, "shared", "each"]))
    if isinstance(start, str):
        start = torch.randn(1 if start == "shared" else batch, *sizes, dtype=WIDE)
    grouped = draw(st.sampled_from([None, 1, batch])) if masks else None
    mask = None if grouped is None else torch.arange(x[0].numel()).view(1, *sizes) % 4
    if grouped is not None and grouped > 1:
        mask = (mask + torch.arange(batch).view(-1, *([1] * len(sizes)))) % 4
    return model.eval(), x, start, mask, form in _ALONE


class LargeInParts(nn.Module):
    """A model that cuts a large batch up, which small ones do not show."""

    def __init__(self, net: nn.Module, most: int):
        super().__init__()
        self.net, self.most = net, most

    def forward(self, x):
        if len(x) > self.most:
            return torch.cat([self.net(part) for part in x.split(self.most)])
        return self.net(x)
