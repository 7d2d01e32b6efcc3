"""The bare model: what a method cannot be faster than if every row goes through the whole model."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from pyxai._timing import bare_gradients, bare_outputs, best_of

__all__ = ["bare_gradients", "bare_outputs", "best_of", "mlp"]


def mlp(*widths: int) -> nn.Sequential:
    """Return a ReLU net in eval mode whose parameters need no gradient."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(False)
