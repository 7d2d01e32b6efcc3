"""One fitted imputer of each kind, with inputs that it fits, small enough for every contract."""

from __future__ import annotations

import functools
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
IMAGES = (drawn(4, 2, 5, 6, seed=9),)
TOKENS = (torch.randint(0, 3, (4, 6), generator=torch.Generator().manual_seed(1)),)
BACKGROUND = drawn(40, 5, seed=2)
MIXING = drawn(5, 5, seed=3).double()


def correlated() -> imputers.Gaussian:
    covariance = MIXING @ MIXING.T + torch.eye(5)
    return imputers.Gaussian(n_draws=4, mean=torch.arange(5.0).double(), covariance=covariance)


KINDS = {
    "kmeans": lambda **options: imputers.KMeans(3, n_draws=4, **options),
    "gmm": lambda **options: imputers.GaussianMixture(3, n_draws=4, **options),
    "logistics": lambda **options: imputers.LogisticMixture(
        3, low=-4, high=4, levels=81, n_draws=4, epochs=2, batch_size=20, **options
    ),
    "vaeac": lambda **options: imputers.VAEAC(2, 8, 2, n_draws=3, epochs=1, **options),
    "ppca": lambda **options: imputers.PPCAMixture(2, 2, n_draws=4, n_steps=20, **options),
}


@functools.cache
def fitted(kind: str, pair: bool = False, **options) -> imputers.Imputer:
    """Return an imputer of three clusters of rows, fitted once."""
    groups = torch.arange(60) % 3 * 2.0 - 2
    if pair:
        parts = (drawn(60, 3, seed=6).double(), drawn(60, 1, 2, 2, seed=7).double())
        data = tuple(part + groups.view(-1, *(1,) * (part.dim() - 1)) for part in parts)
    else:
        data = drawn(60, 5, seed=6) + groups[:, None]
    return KINDS[kind](**options).fit(data)


def unfitted_latent() -> imputers.LatentMixture:
    encoder, decoder = torch.nn.Linear(5, 2), torch.nn.Linear(2, 5)
    with torch.no_grad():
        encoder.weight.copy_(drawn(2, 5, seed=11)), decoder.weight.copy_(drawn(5, 2, seed=12))
        encoder.bias.zero_(), decoder.bias.zero_()
    return imputers.LatentMixture(encoder, decoder, 3, n_draws=3)


@functools.cache
def latent() -> imputers.Imputer:
    return unfitted_latent().fit(drawn(60, 5, seed=6))


@functools.cache
def vaeac_of_images() -> imputers.Imputer:
    return imputers.VAEAC(2, 4, 2, n_draws=2, epochs=1, batch_size=20).fit(drawn(40, 2, 5, 6))


@functools.cache
def chain() -> imputers.Imputer:
    tokens = torch.randint(0, 3, (40, 6), generator=torch.Generator().manual_seed(0))
    return imputers.MarkovChain(n_draws=3).fit(tokens)


def loaded(make, **options):
    """Return what makes a fitted imputer of data from what makes an empty one."""
    return lambda data: make(**options).fit(data)


# What learns from data: an imputer of it, and the data.
LEARNT = {
    "Mean": (imputers.Mean, BACKGROUND),
    "Marginal": (lambda data: imputers.Marginal(data, 4), BACKGROUND),
    "Gaussian": (lambda data: imputers.Gaussian(data, 4), BACKGROUND),
    "KMeans": (loaded(KINDS["kmeans"]), BACKGROUND),
    "GaussianMixture": (loaded(KINDS["gmm"]), BACKGROUND),
    "LogisticMixture": (loaded(KINDS["logistics"]), BACKGROUND),
    "PPCAMixture": (loaded(KINDS["ppca"]), BACKGROUND),
    "VAEAC": (loaded(KINDS["vaeac"]), BACKGROUND),
    "LatentMixture": (loaded(unfitted_latent), BACKGROUND),
    "MarkovChain": (loaded(imputers.MarkovChain, n_draws=3), TOKENS[0]),
}
LEARNS_NOTHING = ("Blur", "Callback", "Constant", "LearntConstant")


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
    Case("kmeans", lambda: fitted("kmeans"), ROWS),
    Case("kmeans_mean", lambda: fitted("kmeans", values="mean"), ROWS),
    Case("gmm", lambda: fitted("gmm"), ROWS),
    Case("gmm_of_pair", lambda: fitted("gmm", pair=True), PAIR),
    Case("gmm_mean", lambda: fitted("gmm", values="mean"), ROWS),
    Case("gmm_rows", lambda: fitted("gmm", values="rows"), ROWS),
    Case("gmm_full", lambda: fitted("gmm", covariance="full"), ROWS),
    Case("gmm_full_rows", lambda: fitted("gmm", covariance="full", values="rows"), ROWS),
    Case("logistics", lambda: fitted("logistics"), ROWS),
    Case("ppca", lambda: fitted("ppca"), ROWS),
    Case("factor_analysers", lambda: fitted("ppca", noise="diagonal", pair=True), PAIR),
    Case("latent_mixture", latent, ROWS),
    Case("vaeac", lambda: fitted("vaeac"), ROWS),
    Case("vaeac_mean_of_pair", lambda: fitted("vaeac", pair=True, values="mean"), PAIR),
    Case("vaeac_of_images", vaeac_of_images, IMAGES),
    Case("markov_chain", chain, TOKENS, anything=True),
    Case("blur", lambda: imputers.Blur(1.0), IMAGES, anything=True),
    Case("learnt_constant", lambda: imputers.LearntConstant(drawn(5, seed=8)), ROWS),
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
