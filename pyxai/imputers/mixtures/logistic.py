"""Logistic distributions over levels: their log-probabilities, and steps that fit a mixture."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyxai._inputs import add_at

__all__ = ["fit_logistics", "level_log_probabilities"]

_MOMENT = math.sqrt(3) / math.pi  # scale of a logistic distribution of standard deviation 1


def level_log_probabilities(
    values: Tensor, means: Tensor, log_scales: Tensor, levels: int
) -> Tensor:
    """Return log-probabilities of levels between -1 and 1 under logistic distributions.

    ``log[F((t + h - m) / s) - F((t - h - m) / s)]``, F the logistic function and h half a level;
    the first level has all below it, the last one all above.

    Parameters
    ----------
    values : Tensor, shape [...]
        Levels: from -1 to 1 in steps of ``2 / (levels - 1)``.
    means, log_scales : Tensor
        Broadcast with the values.
    levels : int
        How many there are, at least 2.

    Returns
    -------
    Tensor, shape of all three
        The difference is taken in logarithms, ``F(a) - F(b) = F(a) F(-b) (1 - exp(b - a))``, and
        is exact far away too.
    """
    half = 1 / (levels - 1)
    inverse = torch.exp(-log_scales)
    centred = (values - means) * inverse
    reach = half * inverse
    below, above = logsigmoid(centred + reach), logsigmoid(reach - centred)
    inside = below + above + torch.log(-torch.expm1(-2 * reach))
    return torch.where(values <= half - 1, below, torch.where(values >= 1 - half, above, inside))


def fit_logistics(
    rows: Tensor,
    centres: Tensor,
    owners: Tensor,
    *,
    levels: int,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a mixture by steps of Adam on the exact log-likelihood, from clusters.

    Parameters
    ----------
    rows : Tensor, shape [rows, features]
        Levels between -1 and 1, float32.
    centres : Tensor, shape [n_components, features]
        Means of clusters.
    owners : Tensor, shape [rows]
        Cluster of each row.
    levels, epochs, batch_size, lr, seed
        See `LogisticMixture`.

    Returns
    -------
    log_weights : Tensor, shape [n_components]
    means, log_scales : Tensor, shape [n_components, features]
    """
    counts = owners.bincount(minlength=len(centres)).double()
    squares = add_at(torch.zeros_like(centres), owners, (rows - centres[owners]).square())
    deviations = (squares / counts.clamp(min=1)[:, None]).sqrt().clamp(min=1 / (levels - 1))
    logits = (counts + 1).log().float()
    parameters = [logits, centres.clone(), (deviations * _MOMENT).log().float()]
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad():
        parameters = [value.clone().requires_grad_() for value in parameters]
        optimizer = torch.optim.Adam(parameters, lr=lr)
        for _ in range(epochs):
            order = torch.randperm(len(rows), generator=generator).to(rows.device)
            for index in torch.split(order, batch_size):
                optimizer.zero_grad(set_to_none=True)
                logits, means, log_scales = parameters
                found = level_log_probabilities(
                    rows[index].unsqueeze(1), means, log_scales, levels
                ).sum(2)
                loss = -(found + logits.log_softmax(0)).logsumexp(1).mean()
                torch.autograd.backward(loss)
                optimizer.step()
    logits, means, log_scales = (value.detach().double() for value in parameters)
    return logits.log_softmax(0), means, log_scales
