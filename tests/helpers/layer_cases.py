"""Models with layers to attribute to, and comparisons with captum on each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 5), nn.Linear(3, 5)
        self.joined, self.head = nn.Tanh(), nn.Linear(5, 3)

    def forward(self, x, y):
        return self.head(self.joined(self.left(x) + self.right(y)))


class Reader(nn.Module):
    """Words, an LSTM, and a layer on each side of it."""

    def __init__(self):
        super().__init__()
        self.words, self.before = nn.Embedding(20, 4), nn.Linear(4, 4)
        self.lstm, self.after = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids):
        states = self.lstm(self.before(self.words(ids)))[0]
        return self.head(torch.tanh(self.after(states[:, -1])))


class Bag(nn.Module):
    """The mean of words, with weights given beside them."""

    def __init__(self):
        super().__init__()
        self.words, self.hidden, self.head = nn.Embedding(20, 6), nn.Linear(6, 5), nn.Linear(5, 3)
        self.act = nn.ReLU()

    def forward(self, ids, weights):
        mean = (self.words(ids) * weights.unsqueeze(-1)).sum(1)
        return self.head(self.act(self.hidden(mean)))


def _mlp():
    hidden = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)]
    return nn.Sequential(*hidden)


def _cnn():
    head = [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)]
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), *head)


def _ids():
    return torch.randint(20, (4, 5))


@dataclass
class Case:
    model: nn.Module
    inputs: Any
    baselines: Any
    background: Any
    arguments: Any = None

    def layer(self, name):
        return self.model.get_submodule(name)


def make(kind):
    """Return a model of a kind with its inputs, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "mlp":
            case = Case(_mlp(), torch.randn(4, 4), torch.zeros(4, 4), torch.randn(3, 4))
        elif kind == "cnn":
            shape = (1, 6, 6)
            case = Case(
                _cnn(), torch.randn(4, *shape), torch.zeros(4, *shape), torch.randn(3, *shape)
            )
        elif kind == "two":
            given = tuple(torch.randn(4, size) for size in (4, 3))
            start = tuple(torch.zeros_like(each) for each in given)
            case = Case(TwoInputs(), given, start, tuple(torch.randn(3, size) for size in (4, 3)))
        elif kind == "lstm":
            case = Case(Reader(), _ids(), torch.ones(4, 5).long(), _ids()[:3])
        else:
            weights = torch.rand(4, 5)
            case = Case(Bag(), _ids(), torch.ones(4, 5).long(), _ids()[:3], weights)
    case.model.eval()
    return case


# Layers of each kind of model, and whether what they take is meant.
FLOAT_LAYERS = [
    ("mlp", "0", False),
    ("mlp", "2", True),
    ("mlp", "3", False),
    ("cnn", "0", False),
    ("cnn", "1", False),
    ("cnn", "4", True),
    ("two", "joined", False),
    ("two", "head", True),
]
ID_LAYERS = [
    ("lstm", "words", False),
    ("lstm", "before", True),
    ("lstm", "after", False),
    ("bag", "words", False),
    ("bag", "hidden", True),
]
# Neurons that all inputs lead to, for captum takes no others.
NEURONS = [
    ("mlp", "0", False, 2),
    ("mlp", "3", True, (1,)),
    ("mlp", "4", False, 0),
    ("cnn", "0", False, (1, 2, 3)),
    ("cnn", "1", False, (0, 0, 0)),
    ("cnn", "4", True, 5),
    ("two", "joined", False, 1),
    ("two", "head", True, (4,)),
]
RELU_NEURONS = [  # behind a ReLU
    ("mlp", "3", True, (1,)),
    ("mlp", "4", False, 0),
    ("cnn", "1", False, (0, 0, 0)),
    ("cnn", "4", True, 5),
]
LAYERS = FLOAT_LAYERS + ID_LAYERS
on_layers = pytest.mark.parametrize(("kind", "name", "at_input"), LAYERS)
on_float_layers = pytest.mark.parametrize(("kind", "name", "at_input"), FLOAT_LAYERS)


def assert_same(ours, theirs, tolerance=1e-5):
    """Compare attributions, or tuples and lists of them."""
    if isinstance(theirs, (tuple, list)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for left, right in zip(ours, theirs, strict=True):
            assert_same(left, right, tolerance)
        return
    assert not ours.requires_grad
    torch.testing.assert_close(ours, theirs.detach(), rtol=tolerance, atol=tolerance)
