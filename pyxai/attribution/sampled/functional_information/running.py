"""Moments of scores over samples that arrive in parts, in float64, in units of the output."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.attribution.sampled.functional_information.arguments import warn_if_lost
from pyxai.ops.path_moments import path_moments

__all__ = ["Index", "Moments", "Units"]

Index = tuple[Tensor] | tuple[Tensor, int]  # examples, and one of their columns if not all

LEAST = torch.finfo(torch.float64).min / 8  # stands for log 0, where differences stay finite


class Units:
    """The unit of each running moment: the largest ``f`` so far, so that none is too small.

    Parameters
    ----------
    batch, columns : int
        A unit for each example and column; one column serves all scores of an example.
    device : torch.device
        Where they are kept.
    """

    def __init__(self, batch: int, columns: int, device: torch.device) -> None:
        self.counts = torch.zeros(batch, columns, dtype=torch.float64, device=device)
        self.top = torch.full_like(self.counts, LEAST)  # log of that largest f
        self.mass = torch.zeros_like(self.counts)  # sum of f, in units of it

    def weigh(self, index: Index, log_values: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f`` in the unit, and the logarithm of the unit before over the unit now.

        ``log_values`` [samples, ...] is ``log f``, of the places ``index``.
        """
        before = self.top[index]
        top = torch.maximum(before, log_values.amax(0))
        fall = before - top
        weights = (log_values - top).exp()
        self.top[index] = top
        self.mass[index] = self.mass[index] * fall.exp() + weights.sum(0)
        return weights, fall

    def restore(
        self, values: tuple[Tensor, ...], degree: int, relative: bool
    ) -> tuple[Tensor, ...]:
        """Take values out of the unit; ``relative``: put them over the mean of ``f``.

        Both to the power ``degree`` with which they scale with ``f``.
        """
        if relative:
            unit = (self.counts / self.mass).pow(degree)
        else:
            unit = (degree * self.top).exp()
            warn_if_lost(values[0], values[0] * unit)
        return tuple(value * unit for value in values)


class Moments:
    """Sum of samples and, if asked for, the sums of powers of what they differ by from their mean.

    Parameters
    ----------
    shape : tuple of int
        ``[batch, columns]``.
    order : int
        1: the sum; 2: squares too, for the error of a mean or for a variance; 4: third and fourth
        powers too, for the error of a variance.
    device : torch.device
        Where they are kept.
    """

    def __init__(self, shape: tuple[int, int], order: int, device: torch.device) -> None:
        self.sums = torch.zeros(order, *shape, dtype=torch.float64, device=device)

    def scale(self, index: Index, log_factor: Tensor) -> None:
        """Multiply all samples so far."""
        for power, row in enumerate(self.sums, 1):
            row[index] *= (power * log_factor).exp()

    def add(self, index: Index, counts: Tensor, values: Tensor) -> None:
        """Take in ``values`` [samples, ...] at the places ``index``, after ``counts`` others."""
        total = values.sum(0)
        if len(self.sums) > 1:
            mean = self.sums[0][index] / counts.clamp(min=1)
            ones = values.new_ones(len(values))
            about = total / len(values)
            parts = path_moments(values, ones, origin=about, order=len(self.sums))[1:]
            kept = [row[index] for row in self.sums[1:]]
            found = _merged(kept, parts, about - mean, counts, len(values))
            for row, value in zip(self.sums[1:], found, strict=True):
                row[index] = value
        self.sums[0][index] += total

    def mean(self, counts: Tensor) -> tuple[Tensor, ...]:
        """Return the mean and, if squares were kept, its standard error."""
        mean = self.sums[0] / counts
        if len(self.sums) == 1:
            return (mean,)
        error = (self.sums[1] / (counts - 1).clamp(min=1) / counts).sqrt()
        return mean, torch.where(counts > 1, error, torch.inf)

    def variance(self, counts: Tensor) -> tuple[Tensor, ...]:
        """Return the unbiased variance and, if fourth powers were kept, its standard error.

        The error is that of any law: ``(m4 - s^4 (n - 3) / (n - 1)) / n`` with the fourth central
        moment ``m4``.
        """
        variance = self.sums[1] / (counts - 1)
        if len(self.sums) == 2:
            return (variance,)
        fourth = self.sums[3] / counts
        error = (fourth - variance.square() * (counts - 3) / (counts - 1)) / counts
        return variance, error.clamp(min=0).sqrt()


def _merged(
    left: list[Tensor], right: Tensor, gap: Tensor, counts: Tensor, count: int
) -> list[Tensor]:
    """Return the sums of central powers of two sets of samples (Chan, Golub, LeVeque; Pebay).

    ``gap`` is the mean of the right one, of ``count`` samples, less that of the left one.
    """
    n, m = counts, float(count)
    total = n + m
    found = [left[0] + right[0] + gap.square() * n * m / total]
    if len(left) == 1:
        return found
    shift = gap / total
    found.append(
        left[1]
        + right[1]
        + shift.pow(3) * n * m * (n - m) * total
        + 3 * shift * (n * right[0] - m * left[0])
    )
    found.append(
        left[2]
        + right[2]
        + shift.pow(4) * n * m * (n * n - n * m + m * m) * total
        + 6 * shift.square() * (n * n * right[0] + m * m * left[0])
        + 4 * shift * (n * right[1] - m * left[1])
    )
    return found
