"""Conditional information with everything but one group of features held at the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.attribution.sampled.functional_information.noise import Noise
from pyxai.attribution.sampled.functional_information.running import Moments, Units
from pyxai.attribution.sampled.functional_information.scores import Groups
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
    errors : bool
        Whether standard errors are asked for.
    """

    def __init__(self, noise: Noise, groups: Groups, n_samples: int, *, errors: bool) -> None:
        self.noise, self.groups, self.n_samples = noise, groups, n_samples
        self.members: list[Tensor] = [torch.empty(0)] * groups.n_groups
        for ids, members in groups.by_size:
            for group, indices in zip(ids.tolist(), members, strict=True):
                self.members[group] = indices
        self.laws = {
            id(covariance): self._laws_of(covariance) for covariance in noise.by_example or ()
        }
        shape, device = (len(noise.inputs), groups.n_groups), noise.inputs.device
        self.units = Units(*shape, device)  # every group has its own samples
        self.moments = Moments(shape, 2 if errors else 1, device)

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
        log_values, start = log_values.double(), examples.indices(len(self.noise.inputs))[0]
        for group, places, _ in self._spans(repeats):
            part, values = grads[places][..., self.members[group]], log_values[places]
            for covariance, at in self.noise.members(examples):
                index = (at + start, group)
                weights, fall = self.units.weigh(index, values[:, at])
                block, own = self.laws[id(covariance)][group].block, part[:, at]
                self.moments.scale(index, fall)
                forms = weights * ((own @ block) * own).sum(-1)
                self.moments.add(index, self.units.counts[index], forms)
            self.units.counts[examples, group] += len(values)

    def score(self, relative: bool) -> tuple[Tensor, ...]:
        """Return the score and, if asked for, its standard error, [batch, n_groups] each."""
        return self.units.restore(self.moments.mean(self.units.counts), 1, relative)

    def _laws_of(self, covariance: Covariance) -> list[_Law]:
        laws: list[_Law | None] = [None] * self.groups.n_groups
        for ids, members in self.groups.by_size:
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
