"""Gradients at random points between random baselines and inputs: what GradientShap averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import flat_features
from pyxai.ops import philox_normal, philox_uniform
from pyxai.runner import Build, Runner

__all__ = ["SampledGradients"]

# Streams of the seed; each purpose has its own, so that none shifts another.
_BASELINE, _FRACTION, _NOISE = 1, 2, 3


@dataclass
class SampledGradients:
    """Average ``(x + noise - b) * gradient at b + t (x + noise - b)`` over draws of b, t and noise.

    The draws of an example depend on the seed, its id and the number of the draw.
    """

    inputs: tuple[Tensor, ...]  # [batch, *feat] each
    background: tuple[Tensor, ...]  # [n_background, *feat] each
    n_samples: int
    stdevs: tuple[float, ...]
    seed: int
    example_ids: Tensor  # int64 [batch]
    multiply_by_inputs: bool = True
    start: int = 0  # number of the first draw

    def __post_init__(self) -> None:
        check_int("n_samples", self.n_samples, minimum=1)
        check_int("seed", self.seed, minimum=0)
        n_background = self.background[0].shape[0]
        unit = self._uniform(_BASELINE)
        self._chosen = (unit * n_background).long().clamp(max=n_background - 1)
        self._back = self._uniform(_FRACTION) - 1  # t - 1
        # What a pass has built is needed again when its gradients come.
        self._built: tuple[slice, slice, list[Tensor]] | None = None

    def _uniform(self, stream: int) -> Tensor:
        return philox_uniform(
            (),
            self.n_samples,
            seed=self.seed,
            example_ids=self.example_ids,
            start=self.start,
            stream=stream,
            dtype=torch.float64,
        )  # [batch, n_samples]

    def _end(self, index: int, examples: slice, repeats: slice) -> Tensor:
        """Return noisy inputs, [examples, 1 or repeats, *feat], in float32 at least."""
        value = self.inputs[index][examples]
        end = value.to(torch.promote_types(value.dtype, torch.float32)).unsqueeze(1)
        if self.stdevs[index] == 0:
            return end
        noise = philox_normal(
            tuple(value.shape[1:]),
            repeats.stop - repeats.start,
            seed=self.seed,
            example_ids=self.example_ids[examples],
            start=self.start + repeats.start,
            stream=_NOISE + index,
            dtype=torch.float32,
        )
        return noise.to(end.dtype).mul_(self.stdevs[index]).add_(end)

    def _start(self, index: int, examples: slice, repeats: slice) -> Tensor:
        """Return baselines, [examples, repeats, *feat], in float32 at least."""
        rows = self.background[index][self._chosen[examples, repeats]]
        return rows.to(torch.promote_types(rows.dtype, torch.float32))

    def _points(self, examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        back = self._back[examples, repeats]
        points, steps = [], []
        for index, value in enumerate(self.inputs):
            end, start = (part(index, examples, repeats) for part in (self._end, self._start))
            step = torch.sub(end, start, out=start)
            weight = back.view(*back.shape, *[1] * (step.dim() - 2)).to(step.dtype)
            points.append(torch.addcmul(end, step, weight).flatten(0, 1).to(value.dtype))
            steps.append(step)
        self._built = examples, repeats, steps
        return tuple(points)

    def run(
        self, runner: Runner, *, errors: bool = False, sums: bool = False
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """Take the gradients.

        Returns
        -------
        means : tuple of Tensor, shape [batch, *feat]
            float64 for float64 inputs, else float32.
        errors : tuple of Tensor, shape [batch, *feat]
            Standard errors of the means, infinite for a single sample; empty unless asked for.
        sums : Tensor, shape [batch, n_samples]
            Sum over all features of each draw's ``(x + noise - b) * gradient``; 0 unless asked for.
        """
        totals, squares, each = self.sums(runner, errors=errors, sums=sums)
        means = tuple(total / self.n_samples for total in totals)
        count = torch.full(self.example_ids.shape, self.n_samples, device=totals[0].device)
        return means, mean_errors(means, squares, count), each

    def sums(
        self, runner: Runner, *, errors: bool, sums: bool
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """Return what `run` makes means and errors of: sums over draws and sums of squares."""
        batch = self.inputs[0].shape[0]
        totals = tuple(
            torch.zeros_like(value, dtype=torch.promote_types(value.dtype, torch.float32))
            for value in self.inputs
        )
        squares = tuple(torch.zeros_like(total) for total in totals) if errors else ()
        each = torch.zeros(batch, self.n_samples, dtype=totals[0].dtype, device=totals[0].device)

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            assert self._built is not None
            assert self._built[:2] == (examples, repeats)
            for index, step in enumerate(self._built[2]):
                grad = grads[index].view(step.shape).to(step.dtype)
                kept = step.mul_(grad) if self.multiply_by_inputs or sums else grad
                if sums:
                    each[examples, repeats] += flat_features(kept, 2).sum(2)
                if not self.multiply_by_inputs:
                    kept = grad
                totals[index][examples] += kept.sum(1)
                if errors:
                    squares[index][examples] += kept.square().sum(1)

        runner.gradients(self._points, batch, self.n_samples, consume, example_major=True)
        self._built = None
        return totals, squares, each

    def differences(self, runner: Runner) -> Tensor:
        """Return ``f(x + noise) - f(b)`` of each draw, [batch, n_samples]."""
        batch = self.inputs[0].shape[0]

        def rows(part: Callable[[int, slice, slice], Tensor]) -> Build:
            return lambda examples, repeats: tuple(
                part(index, examples, repeats).flatten(0, 1).to(value.dtype)
                for index, value in enumerate(self.inputs)
            )

        starts = runner.values(rows(self._start), batch, self.n_samples)
        if not any(self.stdevs):
            return runner.outputs(self.inputs)[:, None] - starts
        return runner.values(rows(self._expanded_end), batch, self.n_samples) - starts

    def _expanded_end(self, index: int, examples: slice, repeats: slice) -> Tensor:
        end = self._end(index, examples, repeats)
        return end.expand(-1, repeats.stop - repeats.start, *[-1] * (end.dim() - 2))


def mean_errors(
    means: tuple[Tensor, ...], squares: tuple[Tensor, ...], count: Tensor
) -> tuple[Tensor, ...]:
    """Return standard errors of means, infinite where there is a single draw.

    means [batch, *feat], squares [batch, *feat] summed over draws, count [batch] draws
    """
    errors = []
    for mean, square in zip(means, squares, strict=False):
        n = count.view(-1, *[1] * (mean.dim() - 1)).to(mean.dtype)
        variance = (square / n - mean.square()).clamp(min=0)
        errors.append(torch.where(n > 1, (variance / (n - 1)).sqrt(), torch.inf))
    return tuple(errors)
