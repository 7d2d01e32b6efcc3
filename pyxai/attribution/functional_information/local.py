"""Conditional information with everything but one group of features held at the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.attribution.functional_information.noise import Noise
from pyxai.attribution.functional_information.scores import Groups
from pyxai.covariance import Covariance
from pyxai.covariance.base import symmetric_root

__all__ = ["LocalInformation"]


class _Law(NamedTuple):
    """The law of one group given all others, of one covariance."""

    block: Tensor  # [size, size], float64
    root: Tensor  # [size, size], float64


class _Span(NamedTuple):
    """The part of some repeats that belongs to one group."""

    group: int
    places: slice  # among the repeats
    samples: slice  # of the group


class LocalInformation:
    """Samples and scores of every group in turn: repeat ``g * n_samples + s`` is its sample s.

    Parameters
    ----------
    noise : Noise
        Of the inputs and their covariances.
    groups : Groups
        Partition of the features.
    n_samples : int
        Samples of each group.
    """

    def __init__(self, noise: Noise, groups: Groups, n_samples: int) -> None:
        self.noise, self.groups, self.n_samples = noise, groups, n_samples
        self.members: list[Tensor] = [torch.empty(0)] * groups.n_groups
        for ids, members in groups.by_size():
            for group, indices in zip(ids.tolist(), members, strict=True):
                self.members[group] = indices
        self.laws = {
            id(covariance): self._laws_of(covariance) for covariance in noise.by_example or ()
        }
        batch = len(noise.inputs)
        self.moments = torch.zeros(
            2, batch, groups.n_groups, dtype=torch.float64, device=noise.inputs.device
        )

    def points(self, examples: slice, repeats: slice, *, seed: int, paired: bool) -> Tensor:
        """Return the samples, node-major ``[repeats * examples, *features]``."""
        centres = self.noise.inputs[examples]
        width = repeats.stop - repeats.start
        rows = flat_features(centres).double().expand(width, -1, -1).clone()
        for group, places, samples in self._spans(repeats):
            inside = self.members[group]
            normals = self.noise.normals(len(inside), samples, seed, paired).double()
            for covariance, at in self.noise.members(examples):
                steps = normals @ self.laws[id(covariance)][group].root.T
                rows[places, at[:, None], inside] += self.noise.scale**0.5 * steps[:, None]
        return rows.view(-1, *centres.shape[1:]).to(centres.dtype)

    def add(self, examples: slice, repeats: slice, grads: Tensor, log_values: Tensor) -> None:
        """Take in gradients [repeats, batch, *features] of ``log f`` and its values."""
        grads = grads.reshape(*log_values.shape, -1).double()
        weights = log_values.double().exp()
        for group, places, _ in self._spans(repeats):
            part = grads[places][..., self.members[group]]
            for covariance, at in self.noise.members(examples):
                block = self.laws[id(covariance)][group].block
                own = part[:, at]
                forms = weights[places][:, at] * ((own @ block) * own).sum(-1)
                found = self.moments[:, examples, group]
                found.index_add_(1, at, torch.stack([forms.sum(0), forms.square().sum(0)]))

    def score(self) -> tuple[Tensor, Tensor]:
        """Return the score and its standard error, [batch, n_groups] each."""
        n = self.n_samples
        mean, square = self.moments / n
        variance = (square - mean.square()).clamp(min=0) * n / (n - 1)
        return mean, (variance / n).sqrt()

    def _laws_of(self, covariance: Covariance) -> list[_Law]:
        laws: list[_Law | None] = [None] * self.groups.n_groups
        for ids, members in self.groups.by_size():
            if members.shape[1] == 1:
                variances = covariance.precision_diagonal()[members[:, 0]].reciprocal()
                blocks, roots = variances.view(-1, 1, 1), variances.sqrt().view(-1, 1, 1)
            else:
                blocks = covariance.conditional_blocks(members)
                roots = torch.stack([symmetric_root(block) for block in blocks])
            for group, block, root in zip(ids.tolist(), blocks, roots, strict=True):
                laws[group] = _Law(block, root)
        return [law for law in laws if law is not None]

    def _spans(self, repeats: slice) -> Iterator[_Span]:
        n, at = self.n_samples, repeats.start
        while at < repeats.stop:
            group = at // n
            end = min(repeats.stop, (group + 1) * n)
            places = slice(at - repeats.start, end - repeats.start)
            yield _Span(group, places, slice(at - group * n, end - group * n))
            at = end
