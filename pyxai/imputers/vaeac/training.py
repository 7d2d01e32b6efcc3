"""Masks to train with, and steps that fit the networks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyxai.imputers.vaeac.networks import Networks

__all__ = ["MaskLaw", "bound", "random_masks", "train"]

# From a shape [rows, *feat] to present features, bool.
MaskLaw = Callable[[tuple[int, ...], torch.Generator], Tensor]

_MEAN_SCALE = 1e4  # of the wide law that holds means of the prior
_DEVIATION_WEIGHT = 1e-4  # of the one that holds its deviations


def random_masks(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw which features are present, so that any share of them is.

    Of vectors: each with a probability that is uniform for each row. Of images [rows, channels,
    height, width]: so for half of the rows, pixel by pixel; of the others a rectangle is absent, or
    all but a rectangle. Channels of a pixel go together.

    Parameters
    ----------
    shape : tuple of int
        ``[rows, *feat]``.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape [rows, *feat]
        bool.
    """
    rows, *features = shape
    images = len(features) == 3
    own = (1, *features[1:]) if images else tuple(features)
    share = torch.rand((rows, *(1,) * len(own)), generator=generator)
    present = torch.rand((rows, *own), generator=generator) < share
    if images:
        inside = torch.ones((rows, *own), dtype=torch.bool)
        for axis in (2, 3):
            ends = torch.rand((rows, 2), generator=generator).sort(1).values * own[axis - 1]
            places = torch.arange(own[axis - 1])
            within = (places >= ends[:, :1].floor()) & (places < ends[:, 1:].ceil())
            inside &= within.view(rows, 1, *((-1, 1) if axis == 2 else (1, -1)))
        kind = torch.rand((rows, 1, 1, 1), generator=generator)
        present = torch.where(kind < 0.5, present, torch.where(kind < 0.75, inside, ~inside))
    return present.expand(shape)


def bound(
    networks: Networks, values: Tensor, present: Tensor, generator: torch.Generator
) -> Tensor:
    """Return a lower bound of the log-density of absent values given present ones.

    ``E_q log p(x_a | t, x_p) - KL(q(t | x) || p(t | x_p))`` with one draw of t, and weak priors on
    the means and deviations of ``p(t | x_p)``, without which it may drift away.

    Parameters
    ----------
    networks : Networks
    values : Tensor, shape [rows, *feat]
        Standardised.
    present : Tensor, shape [rows, *feat]
        bool.
    generator : torch.Generator
        Of the draw.

    Returns
    -------
    Tensor, shape [rows]
        In nats.

    References
    ----------
    .. [1] O. Ivanov, M. Figurnov, D. Vetrov, "Variational Autoencoder with Arbitrary Conditioning",
       ICLR 2019, equations 4 and 9.
    """
    shown = present.to(values.dtype)
    proposal = networks.proposal(values, shown)
    prior, memories = networks.prior(values * shown, shown)
    normal = torch.randn(proposal.mean.shape, generator=generator).to(values)
    found = networks.decoder(proposal.mean + proposal.deviation * normal, memories)
    fit = (found.log_density(values) * (1 - shown)).flatten(1).sum(1)
    ratio = proposal.deviation / prior.deviation
    gap = (proposal.mean - prior.mean) / prior.deviation
    divergence = 0.5 * (ratio.square() + gap.square() - 1) - ratio.log()
    drift = prior.mean.square() / (2 * _MEAN_SCALE**2)
    spread = _DEVIATION_WEIGHT * (prior.deviation.log() - prior.deviation)
    return fit - (divergence + drift - spread).sum(1)


def train(
    networks: Networks,
    rows: Tensor,
    *,
    law: MaskLaw,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> list[float]:
    """Fit the networks by steps of Adam.

    Parameters
    ----------
    networks : Networks
        Changed in place.
    rows : Tensor, shape [rows, *feat]
        Standardised.
    law : callable
        Of the masks.
    epochs, batch_size, lr, seed
        See `VAEAC`.

    Returns
    -------
    list of float
        Mean bound of each epoch, in nats.

    Raises
    ------
    ValueError
        If the bound is no longer finite.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(networks.parameters(), lr=lr)
    networks.train()
    history = []
    scale = math.prod(rows.shape[1:])
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        for index in torch.split(order, batch_size):
            values = rows[index]
            present = law(tuple(values.shape), generator).to(rows.device)
            optimizer.zero_grad(set_to_none=True)
            found = bound(networks, values, present, generator)
            loss = -found.mean() / scale
            if not bool(loss.isfinite()):
                raise ValueError(
                    f"data must lead to a finite bound, got {-loss.item():g} in epoch {epoch} "
                    f"with lr = {lr:g}"
                )
            torch.autograd.backward(loss)
            optimizer.step()
            total += float(found.detach().sum())
        history.append(total / len(rows))
    networks.eval()
    return history
