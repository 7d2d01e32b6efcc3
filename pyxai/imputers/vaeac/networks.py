"""Networks of the auto-encoder, for vectors and for images."""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu, softplus

__all__ = ["ConvolutionalNetworks", "DenseNetworks", "Networks", "Normal"]

_LATENT_FLOOR = 1e-3
_VALUE_FLOOR = 1e-2


class Normal(NamedTuple):
    """Independent normal distributions."""

    mean: Tensor
    deviation: Tensor

    def log_density(self, values: Tensor) -> Tensor:
        """Return the log-density of each value, in nats."""
        scaled = (values - self.mean) / self.deviation
        return -0.5 * (scaled.square() + math.log(2 * math.pi)) - self.deviation.log()


class Networks(nn.Module):
    """What an auto-encoder with arbitrary conditioning is made of.

    A kind of it gives three laws. ``values`` [rows, *feat] are 0 where ``present`` is, of the same
    shape and dtype, 0 or 1; only `proposal` is given all values.
    """

    n_latent: int

    @abstractmethod
    def proposal(self, values: Tensor, present: Tensor) -> Normal:
        """Return the law of the code given all values, [rows, n_latent]."""

    @abstractmethod
    def prior(self, values: Tensor, present: Tensor) -> tuple[Normal, list[Tensor]]:
        """Return the law of the code given the present values, and what the decoder may look at."""

    @abstractmethod
    def decoder(self, codes: Tensor, memories: list[Tensor]) -> Normal:
        """Return the law of all values given a code and what `prior` remembers, [rows, *feat]."""


class DenseNetworks(Networks):
    """Networks for vectors: layers of one width, the decoder's with what the prior's hold.

    Parameters
    ----------
    features : int
        Of a row.
    n_latent : int
        Size of the code.
    width : int
        Of the hidden layers.
    depth : int
        Hidden layers of each network.
    """

    def __init__(self, features: int, n_latent: int, width: int, depth: int) -> None:
        super().__init__()
        self.n_latent = n_latent
        sizes = [2 * features, *[width] * depth]

        def trunk() -> nn.ModuleList:
            return nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))

        self.proposal_trunk, self.prior_trunk = trunk(), trunk()
        self.proposal_head = nn.Linear(width, 2 * n_latent)
        self.prior_head = nn.Linear(width, 2 * n_latent)
        self.decoder_start = nn.Linear(n_latent, width)
        self.decoder_trunk = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.decoder_head = nn.Linear(width + 2 * features, 2 * features)

    def proposal(self, values: Tensor, present: Tensor) -> Normal:
        """Return the law of the code given all values."""
        found = torch.cat([values, present], 1)
        for layer in self.proposal_trunk:
            found = relu(layer(found))
        return _normal(self.proposal_head(found), _LATENT_FLOOR)

    def prior(self, values: Tensor, present: Tensor) -> tuple[Normal, list[Tensor]]:
        """Return the law of the code given the present values, and the hidden layers."""
        memories = [torch.cat([values, present], 1)]
        for layer in self.prior_trunk:
            memories.append(relu(layer(memories[-1])))
        return _normal(self.prior_head(memories[-1]), _LATENT_FLOOR), memories

    def decoder(self, codes: Tensor, memories: list[Tensor]) -> Normal:
        """Return the law of all values."""
        found = relu(self.decoder_start(codes))
        for layer, memory in zip(self.decoder_trunk, reversed(memories[1:]), strict=True):
            found = relu(layer(torch.cat([found, memory], 1)))
        return _normal(self.decoder_head(torch.cat([found, memories[0]], 1)), _VALUE_FLOOR)


class ConvolutionalNetworks(Networks):
    """Networks for images: halved until they are small, and doubled with what the prior's hold.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    n_latent : int
        Size of the code.
    width : int
        Channels of the first layer; each further one has twice as many, up to eight times.
    depth : int
        How often the image is halved, at most until a side is 2.
    """

    def __init__(self, shape: tuple[int, ...], n_latent: int, width: int, depth: int) -> None:
        super().__init__()
        self.n_latent = n_latent
        channels, height, shortest = shape[0], shape[1:], min(shape[1:])
        while depth > 1 and shortest >> depth < 2:
            depth -= 1
        wide = [2 * channels, *(width * min(8, 2**level) for level in range(depth + 1))]
        small = tuple(_halved(side, depth) for side in height)
        self._small = (wide[-1], *small)
        flat = wide[-1] * small[0] * small[1]

        def trunk() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Conv2d(a, b, 3, stride=1 if level == 0 else 2, padding=1)
                for level, (a, b) in enumerate(pairwise(wide))
            )

        self.proposal_trunk, self.prior_trunk = trunk(), trunk()
        self.proposal_head = nn.Linear(flat, 2 * n_latent)
        self.prior_head = nn.Linear(flat, 2 * n_latent)
        self.decoder_start = nn.Linear(n_latent, flat)
        self.decoder_trunk = nn.ModuleList(
            nn.Conv2d(a + b, b, 3, padding=1)
            for a, b in zip([wide[-1], *wide[:1:-1]], wide[:0:-1], strict=False)
        )
        self.decoder_head = nn.Conv2d(wide[1] + 2 * channels, 2 * channels, 3, padding=1)

    def proposal(self, values: Tensor, present: Tensor) -> Normal:
        """Return the law of the code given all values."""
        found = torch.cat([values, present], 1)
        for layer in self.proposal_trunk:
            found = relu(layer(found))
        return _normal(self.proposal_head(found.flatten(1)), _LATENT_FLOOR)

    def prior(self, values: Tensor, present: Tensor) -> tuple[Normal, list[Tensor]]:
        """Return the law of the code given the present values, and the hidden layers."""
        memories = [torch.cat([values, present], 1)]
        for layer in self.prior_trunk:
            memories.append(relu(layer(memories[-1])))
        return _normal(self.prior_head(memories[-1].flatten(1)), _LATENT_FLOOR), memories

    def decoder(self, codes: Tensor, memories: list[Tensor]) -> Normal:
        """Return the law of all values."""
        found = relu(self.decoder_start(codes)).view(-1, *self._small)
        for layer, memory in zip(self.decoder_trunk, reversed(memories[1:]), strict=True):
            if found.shape[2:] != memory.shape[2:]:
                found = interpolate(found, size=memory.shape[2:])
            found = relu(layer(torch.cat([found, memory], 1)))
        return _normal(self.decoder_head(torch.cat([found, memories[0]], 1)), _VALUE_FLOOR)


def _normal(found: Tensor, floor: float) -> Normal:
    mean, raw = found.chunk(2, 1)
    return Normal(mean, softplus(raw) + floor)


def _halved(side: int, times: int) -> int:
    for _ in range(times):
        side = -(-side // 2)
    return side
