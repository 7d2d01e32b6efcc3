"""One fitted imputer of each kind, with inputs that it fits, small enough for every contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pyxai import imputers

IDS = torch.tensor([7, 3, 9, 1])


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@dataclass(frozen=True)
class Case:
    """An imputer and four examples; ``make`` fits anew or returns one that was fitted before."""

    name: str
    make: Callable[[], imputers.Imputer]
    inputs: tuple[torch.Tensor, ...]
    anything: bool = False  # it takes inputs of any shape

    @property
    def features(self) -> int:
        return sum(value[0].numel() for value in self.inputs)

    def others(self) -> list[tuple[torch.Tensor, ...]]:
        """Return other values for all features, near and as far as the dtype goes."""
        if not self.inputs[0].is_floating_point():
            return [tuple((value + 1) % 3 for value in self.inputs)]
        return [
            tuple(value + 1 for value in self.inputs),
            tuple(torch.full_like(value, 1e30) for value in self.inputs),
        ]

    def groups(self) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return a feature mask of two players."""
        parts = tuple(
            (torch.arange(value[0].numel()) % 2).view(1, *value.shape[1:]) for value in self.inputs
        )
        return parts if len(parts) > 1 else parts[0]


ROWS = (drawn(4, 5),)
PAIR = (drawn(4, 3, dtype=torch.float64), drawn(4, 1, 2, 2, seed=1, dtype=torch.float64))
BACKGROUND = drawn(40, 5, seed=2)
MIXING = drawn(5, 5, seed=3).double()


def correlated() -> imputers.Gaussian:
    covariance = MIXING @ MIXING.T + torch.eye(5)
    return imputers.Gaussian(n_draws=4, mean=torch.arange(5.0).double(), covariance=covariance)


CASES = [
    Case("constant", lambda: imputers.Constant(0.5), ROWS, anything=True),
    Case("constant_of_pair", lambda: imputers.Constant(0.5), PAIR, anything=True),
    Case("mean", lambda: imputers.Mean(BACKGROUND), ROWS),
    Case("marginal", lambda: imputers.Marginal(BACKGROUND, 4), ROWS),
    Case("gaussian", correlated, ROWS),
    Case(
        "gaussian_of_pair",
        lambda: imputers.Gaussian((drawn(30, 3, seed=4), drawn(30, 1, 2, 2, seed=5)), 3),
        PAIR,
    ),
    Case(
        "normal_noise",
        lambda: imputers.Gaussian(n_draws=3, mean=torch.zeros(5), covariance=torch.eye(5)),
        ROWS,
    ),
    Case(
        "callback",
        lambda: imputers.Callback(sines, n_draws=3),
        ROWS,
        anything=True,
    ),
]


def sines(inputs, present, *, n_draws, seed, example_ids):
    """Draw for a `Callback`, of the sum of what is present and the numbers of the ids."""
    numbers = imputers.noise(inputs.shape[1:], n_draws, seed=seed, example_ids=example_ids)
    known = torch.where(present, inputs[:, None], 0).flatten(2).sum(2).double().sin()
    return (numbers + known[:, :, None, None]).to(inputs.dtype)
