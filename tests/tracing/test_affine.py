"""What is said of an op, that it is affine or never negative, holds in numbers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pyxai.tracing import is_affine, is_nonnegative, trace

D = torch.float64
C = torch.linspace(-1, 2, 12, dtype=D).view(3, 4)
SQUARE = torch.linspace(-2, 1, 16, dtype=D).view(4, 4)
FLAGS = C > 0.3
MEANS, VARIANCES = C[:, 0], torch.tensor([0.5, 2.0, 3.0], dtype=D)


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def draws(count=6):
    return torch.randn(count, 2, 3, 4, dtype=D, generator=torch.Generator().manual_seed(2))


AFFINE = {
    "lerp of ends": lambda x: torch.lerp(x, C, 0.3),
    "lerp by constants": lambda x: torch.lerp(x, 2 * x, C),
    "a quotient": lambda x: x / C,
    "a product": lambda x: C * x,
    "a product with a matrix": lambda x: x @ SQUARE,
    "a matrix with a product": lambda x: SQUARE[:3, :3] @ x,
    "a linear layer": lambda x: F.linear(x, SQUARE, SQUARE[0]),
    "a bias that moves": lambda x: torch.addmm(x[0], C[:, :3], C) + x,
    "a choice by constants": lambda x: torch.where(FLAGS, x, -2 * x),
    "columns by constants": lambda x: x[:, :, torch.tensor([2, 0])],
    "a filled mask": lambda x: x.masked_fill(FLAGS, 3.0),
    "sums and means": lambda x: x.sum(1) - x.mean(1),
    "a batch norm": lambda x: F.batch_norm(x, MEANS, VARIANCES, C[:, 1], C[:, 2]),
    "constants alone": lambda x: x + C.exp(),
    "parts of complex numbers": lambda x: torch.fft.rfft(x).real,
}
NOT_AFFINE = {
    "lerp by what moves": lambda x: torch.lerp(x, 2 * x, x),
    "a divisor": lambda x: C / (x + 9),
    "a quotient of both": lambda x: x / (x + 9),
    "a rounded quotient": lambda x: torch.div(x, 3.0, rounding_mode="floor"),
    "a square": lambda x: x * x,
    "a product with itself": lambda x: x @ x.transpose(1, 2),
    "a weight that moves": lambda x: F.linear(x[0], x[1]),
    "three of a product": lambda x: torch.addmm(x[0][:, :3], x[0], x[1].T),
    "a choice by what moves": lambda x: torch.where(x > 0, x, -2 * x),
    "a mask that moves": lambda x: x.masked_fill(x > 0, 3.0),
    "a size": lambda x: torch.view_as_complex(x.unflatten(2, (2, 2))).abs(),
    "a scale that moves": lambda x: F.batch_norm(x, MEANS, VARIANCES, x[0, :, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*AFFINE, *NOT_AFFINE])
def test_affine_is_what_keeps_mixtures(name):
    function = {**AFFINE, **NOT_AFFINE}[name]
    graph = trace(Model(function), (draws()[0],))
    claims = [is_affine(node) for node in graph.calls() if node.depends]
    one, two, *_ = draws()
    mixed = function(2.5 * one - 1.5 * two)
    holds = torch.allclose(mixed, 2.5 * function(one) - 1.5 * function(two), atol=1e-9)
    assert holds == (name in AFFINE)
    assert all(claims) == holds


NONNEGATIVE = {
    "a ReLU": lambda x: x.relu(),
    "a clamp": lambda x: x.clamp(min=0.5),
    "a clamp above": lambda x: x.clamp(0.0, 1.0),
    "a clamp at 0": lambda x: x.clamp_min(0),
    "a hard tanh": lambda x: F.hardtanh(x, 0.0, 2.0),
    "a sum of what is not": lambda x: x.exp() + x.abs(),
    "a sum and a number": lambda x: x.sigmoid() + 0.5,
    "a product": lambda x: x.relu() * 2.0,
    "a pool": lambda x: F.avg_pool1d(x.square(), 2),
    "padding": lambda x: F.pad(x.relu(), (1, 1), value=0.25),
    "joined": lambda x: torch.cat([x.relu(), x.abs()], 1),
}
MAY_BE_NEGATIVE = {
    "the input": lambda x: x.view(2, 12),
    "a clamp below 0": lambda x: x.clamp(min=-0.5),
    "a clamp above alone": lambda x: x.clamp(max=5.0),
    "a hard tanh to both sides": lambda x: F.hardtanh(x),
    "a sum and a negative number": lambda x: x.relu() + -0.5,
    "a product with a negative number": lambda x: x.abs() * -2.0,
    "padding with a negative number": lambda x: F.pad(x.relu(), (1, 1), value=-0.25),
    "joined with what may be": lambda x: torch.cat([x.relu(), x], 1),
    "a sum with what may be": lambda x: x.relu() + x,
    "a difference": lambda x: torch.add(x.relu(), x.abs(), alpha=-2.0),
    "an op on no list": lambda x: x.relu() - 1.0,
}


@pytest.mark.parametrize("name", [*NONNEGATIVE, *MAY_BE_NEGATIVE])
def test_never_negative_is_what_has_no_negative_value(name):
    function = (NONNEGATIVE if name in NONNEGATIVE else MAY_BE_NEGATIVE)[name]
    graph = trace(Model(function), (draws()[0],))
    assert is_nonnegative(graph.output) == (name in NONNEGATIVE)
    least = min(function(x).min() for x in draws(20))
    assert (least >= 0) == (name in NONNEGATIVE)
