"""Running moments of the scores over samples, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyxai.attribution.sampled.functional_information.entropy import EntropyBound, entropy_bound
from pyxai.attribution.sampled.functional_information.noise import Noise
from pyxai.attribution.sampled.functional_information.running import Moments, Units
from pyxai.attribution.sampled.functional_information.scores import (
    DEGREES,
    VARIANCE_SCORES,
    Groups,
    Sample,
    score_values,
)
from pyxai.covariance import Covariance

__all__ = ["Accumulator", "of_logarithm"]


class Accumulator:
    """Moments of each score; for variance scores the moments of their samples.

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
        Whether the moments that standard errors need are kept too.
    paired : bool
        Whether samples 2k and 2k + 1 are opposite, so that errors are those of pairs.
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
        paired: bool = False,
        information: bool = False,
    ) -> None:
        self.law, self.groups, self.sum_first = law, groups, sum_first
        self.batch, self.features = inputs.shape[0], inputs[0].numel()
        columns = self.features if groups is None else groups.n_groups
        self.units = Units(self.batch, 1, inputs.device)
        self.paired = paired and errors
        self.single: dict[int, tuple[Tensor, Tensor]] = {}  # a sample whose partner comes next
        self.moments = {
            name: Moments((self.batch, columns), _order(name, errors), inputs.device)
            for name in names
        }
        self.rows: list[list[Tensor]] | None = (
            [[] for _ in range(self.batch)] if information else None
        )

    def add(self, examples: slice, grads: Tensor, log_values: Tensor) -> None:
        """Take in gradients [samples, batch, *features] of ``log f`` and its values."""
        grads = grads.reshape(*log_values.shape, self.features)
        if self.paired:
            grads, log_values = self._whole_pairs(examples, grads, log_values)
            if not len(log_values):
                return
        for covariance, at in self.law.members(examples):
            self._take(examples, at, covariance, grads[:, at].double(), log_values[:, at].double())
        self.units.counts[examples] += log_values.shape[0]

    def _whole_pairs(
        self, examples: slice, grads: Tensor, log_values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keep back a sample whose partner is in the next part, and join the one kept before."""
        first = examples.indices(self.batch)[0]
        if first in self.single:
            held = self.single.pop(first)
            grads = torch.cat([held[0], grads])
            log_values = torch.cat([held[1], log_values])
        even = len(log_values) // 2 * 2
        if even < len(log_values):
            self.single[first] = grads[even:].clone(), log_values[even:].clone()
        return grads[:even], log_values[:even]

    def _take(
        self,
        examples: slice,
        at: Tensor,
        covariance: Covariance | None,
        grads: Tensor,
        log_values: Tensor,
    ) -> None:
        index = (at + examples.indices(self.batch)[0],)
        weights, fall = self.units.weigh(index, log_values.unsqueeze(-1))
        counts = self.units.counts[index] / (2 if self.paired else 1)
        sample = Sample(grads, weights[..., 0], covariance, self.groups, self.sum_first)
        for name, moments in self.moments.items():
            # The samples of a variance scale with half its power.
            degree = DEGREES.get(name, 1) // (2 if name in VARIANCE_SCORES else 1)
            moments.scale(index, degree * fall)
            values = score_values(name, sample)
            if self.paired:
                values = (values[0::2] + values[1::2]) / 2
            moments.add(index, counts, values)
        if self.rows is not None:
            self._keep_rows(examples, at, sample, log_values)

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

    def score(self, name: str, relative: bool) -> tuple[Tensor, ...]:
        """Return a score and, if asked for, its standard error, [batch, groups] each.

        ``relative``: over the mean of ``f``, to the power with which the score scales.
        """
        moments, counts = self.moments[name], self.units.counts / (2 if self.paired else 1)
        found = moments.variance(counts) if name in VARIANCE_SCORES else moments.mean(counts)
        return self.units.restore(found, DEGREES.get(name, 1), relative)

    def entropy(self, relative: bool) -> EntropyBound:
        """Return entropy and information; ``relative``: over the mean of ``f``."""
        assert self.rows is not None
        return entropy_bound([torch.cat(rows, 1) for rows in self.rows], relative)


def _order(name: str, errors: bool) -> int:
    """Return up to which power the moments of a score are needed."""
    if name in VARIANCE_SCORES:
        return 4 if errors else 2
    return 2 if errors else 1


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
