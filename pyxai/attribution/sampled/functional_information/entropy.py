"""Functional entropy of an output and the information that bounds it, from samples."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyxai.attribution.sampled.functional_information.arguments import warn_if_lost

__all__ = ["EntropyBound", "entropy_bound"]


class EntropyBound(NamedTuple):
    """Functional entropy of an output and what bounds it; in units of the output, or of its mean.

    Entropy and information are homogeneous in the output: over the mean they do not depend on its
    size.
    """

    entropy: Tensor  # [batch]
    entropy_error: Tensor  # [batch], standard error
    information: Tensor  # [batch]
    information_error: Tensor  # [batch], standard error
    mean: Tensor  # [batch], mean output, in units of the output in either case

    @property
    def bound(self) -> Tensor:
        """Half of the information: the log-Sobolev bound of the entropy."""
        return self.information / 2


def entropy_bound(rows: list[Tensor], relative: bool) -> EntropyBound:
    """Return the estimates, float64, from ``log f`` and ``|grad log f|^2`` of each example.

    Parameters
    ----------
    rows : list of Tensor, shape [2, samples]
        One per example.
    relative : bool
        Whether to divide by the mean of ``f``.
    """
    tops = torch.stack([log_values.max() for log_values, _ in rows])
    found = torch.stack([_of_one(row[0], row[1], relative) for row in rows], 1)
    scale = tops.exp()
    if relative:
        found[4] *= scale
    else:
        information = found[2].clone()
        found *= scale
        warn_if_lost(information[:, None], found[2, :, None])
    entropy, entropy_error, information, information_error, mean = found
    return EntropyBound(entropy, entropy_error, information, information_error, mean)


def _of_one(log_values: Tensor, squares: Tensor, relative: bool) -> Tensor:
    """Return the five estimates of one example, in units of its largest ``f``."""
    logs = log_values - log_values.max()
    f = logs.exp()
    mean, size = f.mean(), len(f) ** 0.5
    entropy = (f * (logs - mean.log())).mean()
    information = f * squares
    # What each sample adds to the estimates, linearised at the mean, gives the standard errors.
    terms = f * logs - (mean.log() + 1) * f
    if relative:
        entropy = entropy / mean
        terms = (terms - entropy * f) / mean
        information = information / mean
        spread = information - information.mean() * f / mean
    else:
        spread = information
    errors = terms.std() / size, spread.std() / size
    return torch.stack([entropy, errors[0], information.mean(), errors[1], mean])
