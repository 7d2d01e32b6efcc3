"""Running moments of the scores over samples, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai.attribution.functional_information.arguments import warn_if_lost
from pyxai.attribution.functional_information.noise import Noise
from pyxai.attribution.functional_information.scores import (
    DEGREES,
    VARIANCE_SCORES,
    Groups,
    Sample,
    score_values,
)
from pyxai.covariance import Covariance

__all__ = ["Accumulator", "of_logarithm"]

LEAST = torch.finfo(torch.float64).min / 8  # stands for log 0, where differences stay finite


class Accumulator:
    """Moments of each score; for variance scores the moments of their samples.

    Kept in units of the largest ``f`` of an example so far, so that no output is too small.

    Parameters
    ----------
    names : sequence of str
        Scores to keep.
    inputs : Tensor, shape [batch, *features]
        For sizes and the device.
    law : Noise
        Gives each example's covariance.
    groups : Groups or None
        Partition of the features.
    sum_first : bool
        Whether group members are summed before squaring.
    errors : bool
        Whether second moments are kept for scores that are means too, so that errors are known.
    information : bool
        Whether to keep ``f``, ``f log f`` and the information of the sampling law too.
    """

    def __init__(
        self,
        names: Sequence[str],
        inputs: Tensor,
        law: Noise,
        groups: Groups | None,
        sum_first: bool,
        *,
        errors: bool = False,
        information: bool = False,
    ) -> None:
        self.law, self.groups, self.sum_first = law, groups, sum_first
        self.batch, self.features = inputs.shape[0], inputs[0].numel()
        columns = self.features if groups is None else groups.n_groups
        device = inputs.device
        # One row, or two with squares.
        self.moments = {
            name: torch.zeros(
                1 + (errors or name in VARIANCE_SCORES),
                self.batch,
                columns,
                dtype=torch.float64,
                device=device,
            )
            for name in names
        }
        self.counts = torch.zeros(self.batch, dtype=torch.float64, device=device)
        self.top = torch.full_like(self.counts, LEAST)  # log of that largest f
        self.mass = torch.zeros_like(self.counts)  # sum of f, in units of it
        self.rows: list[list[Tensor]] | None = (
            [[] for _ in range(self.batch)] if information else None
        )

    def add(self, examples: slice, grads: Tensor, log_values: Tensor) -> None:
        """Take in gradients [samples, batch, *features] of ``log f`` and its values."""
        grads = grads.reshape(*log_values.shape, self.features)
        for covariance, at in self.law.members(examples):
            self._take(examples, at, covariance, grads[:, at].double(), log_values[:, at].double())
        self.counts[examples] += log_values.shape[0]

    def _take(
        self,
        examples: slice,
        at: Tensor,
        covariance: Covariance | None,
        grads: Tensor,
        log_values: Tensor,
    ) -> None:
        places = at + examples.indices(self.batch)[0]
        self._lift(places, log_values.amax(0))
        weights = (log_values - self.top[places]).exp()
        self.mass[places] += weights.sum(0)
        sample = Sample(grads, weights, covariance, self.groups, self.sum_first)
        for name, moments in self.moments.items():
            values = score_values(name, sample)
            moments[0, places] += values.sum(0)
            if len(moments) == 2:
                moments[1, places] += values.square().sum(0)
        if self.rows is not None:
            self._keep_rows(examples, at, sample, log_values)

    def _lift(self, places: Tensor, found: Tensor) -> None:
        """Change to a larger unit where a larger ``f`` was found."""
        top = torch.maximum(self.top[places], found)
        fall = (self.top[places] - top).unsqueeze(-1)
        self.top[places] = top
        self.mass[places] *= fall[:, 0].exp()
        for name, moments in self.moments.items():
            # The samples of a variance scale with half its power.
            degree = DEGREES.get(name, 1) // (2 if name in VARIANCE_SCORES else 1)
            for power, row in enumerate(moments, 1):
                row[places] *= (power * degree * fall).exp()

    def _keep_rows(self, examples: slice, at: Tensor, sample: Sample, log_values: Tensor) -> None:
        assert self.rows is not None
        isotropic = self.law.isotropic_variance(examples, at)
        squares = (
            self.law.scale * (sample.product() * sample.log_grads).sum(-1)
            if isotropic is None
            else isotropic.double() * sample.log_grads.square().sum(-1)
        )
        start = examples.indices(self.batch)[0]
        for column, position in enumerate(at.tolist()):
            pair = torch.stack([log_values[:, column], squares[:, column]])
            self.rows[start + position].append(pair)

    def score(self, name: str, relative: bool = False) -> tuple[Tensor, ...]:
        """Return a score and, if its square was kept, its standard error, [batch, groups] each.

        ``relative``: over the mean of ``f``, to the power with which the score scales.
        """
        score, *error = self._in_units_of_top(name)
        degree = DEGREES.get(name, 1)
        if relative:
            unit = (self.counts / self.mass).pow(degree).unsqueeze(-1)
        else:
            unit = (degree * self.top).exp().unsqueeze(-1)
            warn_if_lost(score, score * unit)
        return tuple(value * unit for value in (score, *error))

    def _in_units_of_top(self, name: str) -> tuple[Tensor, ...]:
        n = self.counts.unsqueeze(-1)
        mean, *square = self.moments[name] / n
        if not square:
            return (mean,)
        variance = (square[0] - mean.square()).clamp(min=0) * n / (n - 1)
        if name in VARIANCE_SCORES:
            # Standard error of a sample variance under a normal law.
            return variance, variance * (2 / (n - 1)).sqrt()
        return mean, (variance / n).sqrt()

    def entropy(self) -> tuple[Tensor, ...]:
        """Return entropy, its error, information, its error and the mean, [batch] each."""
        assert self.rows is not None
        found = [_entropy_of(*torch.cat(rows, 1)) for rows in self.rows]
        return tuple(torch.stack(column) for column in zip(*found, strict=True))


def of_logarithm(grads: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradient and values of ``log f`` from those of ``f`` itself, float64.

    Raises ``ValueError`` if ``f`` is not positive.
    """
    if bool((values <= 0).any()):
        raise ValueError(
            "model output must be positive at every sample for output='identity', got "
            f"{values.min().item():.6g}; functional information is defined for f > 0: use "
            "output='probability' if the model returns logits"
        )
    values = values.double()
    grads = grads.reshape(*values.shape, -1).double() / values.unsqueeze(-1)
    return grads, values.log()


def _entropy_of(log_values: Tensor, squares: Tensor) -> tuple[Tensor, ...]:
    """Entropy and information of one example from ``log f`` and ``|grad log f|^2``, [samples]."""
    # f is scaled by its largest value: both quantities are homogeneous in f.
    top = log_values.max()
    f = (log_values - top).exp()
    logs = log_values - top
    mean = f.mean()
    # d(E[f log f] - m log m) linearised at the mean gives the standard error.
    terms = f * logs - (mean.log() + 1) * f
    entropy = (f * (logs - mean.log())).mean()
    information = f * squares
    size = len(f) ** 0.5
    scale = top.exp()
    return (
        scale * entropy,
        scale * terms.std() / size,
        scale * information.mean(),
        scale * information.std() / size,
        scale * mean,
    )
