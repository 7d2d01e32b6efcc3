"""Small problems for the tests of `pyxai.lex`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai.imputers import Callback, noise
from pyxai.lex import LEX, Bernoulli


def standard_normal(n_draws: int = 1) -> Callback:
    """Return the imputer of independent standard normal features."""

    def draw(inputs: Tensor, present: Tensor, *, n_draws: int, seed: int, example_ids: Tensor):
        shape = inputs.shape[1:]
        drawn = noise(shape, n_draws, seed=seed, example_ids=example_ids, distribution="normal")
        return drawn.expand(*present.shape[:2], n_draws, *shape).to(inputs.dtype)

    return Callback(draw, n_draws)


def small_networks(n_features: int, n_outputs: int, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Return a predictor and a selector in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        predictor = nn.Sequential(nn.Linear(n_features, 8), nn.Tanh(), nn.Linear(8, n_outputs))
        selector = nn.Sequential(nn.Linear(n_features, 6), nn.Tanh(), nn.Linear(6, n_features))
    return predictor.double(), selector.double()


def small_lex(n_features: int = 5, n_outputs: int = 3, **options: Any) -> LEX:
    """Return a small model in float64, of independent bits unless said otherwise."""
    options.setdefault("law", Bernoulli())
    return LEX(*small_networks(n_features, n_outputs), **options)


def small_data(rows: int = 12, n_features: int = 5, n_outputs: int = 3) -> tuple[Tensor, Tensor]:
    """Return float64 inputs and labels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, n_features, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, n_outputs, (rows,), generator=generator)
