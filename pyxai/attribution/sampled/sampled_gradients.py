"""Gradients at random points between random baselines and inputs: what GradientShap averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import flat_features
from pyxai.ops import philox_normal, philox_uniform
from pyxai.ops.path_moments import path_moments
from pyxai.ops.path_points import path_points
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
        self.chosen = (unit * n_background).long().clamp(max=n_background - 1)
        self._nodes = self._uniform(_FRACTION)  # t
        # Starts in the dtype of the ends: with noise both are kept in float32 at least.
        self._tables = tuple(
            rows if stdev == 0 else rows.to(_wide(rows))
            for rows, stdev in zip(self.background, self.stdevs, strict=True)
        )
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
        """Return inputs, [examples, *feat], or noisy ones, [examples, repeats, *feat].

        Noisy ones are in float32 at least.
        """
        value = self.inputs[index][examples]
        if self.stdevs[index] == 0:
            return value
        noise = philox_normal(
            tuple(value.shape[1:]),
            repeats.stop - repeats.start,
            seed=self.seed,
            example_ids=self.example_ids[examples],
            start=self.start + repeats.start,
            stream=_NOISE + index,
            dtype=torch.float32,
        )
        wide = _wide(value)
        return noise.to(wide).mul_(self.stdevs[index]).add_(value.to(wide).unsqueeze(1))

    def _start(self, index: int, examples: slice, repeats: slice) -> Tensor:
        """Return baselines, [examples, repeats, *feat]."""
        return self._tables[index][self.chosen[examples, repeats]]

    def _points(self, examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        nodes = self._nodes[examples, repeats].reshape(1, -1)
        rows = self.chosen[examples, repeats].flatten()
        points, ends = [], []
        for index, value in enumerate(self.inputs):
            end = self._end(index, examples, repeats)
            paths = end if self.stdevs[index] == 0 else end.flatten(0, 1)
            made = path_points(paths, self._tables[index], nodes, rows=rows)[0]
            points.append(made.to(value.dtype))
            ends.append(end)
        self._built = examples, repeats, ends
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
        batch, device = self.inputs[0].shape[0], self.inputs[0].device
        moments = tuple(
            torch.zeros(1 + errors, *value.shape, dtype=_wide(value), device=device)
            for value in self.inputs
        )
        each = torch.zeros(batch, self.n_samples, dtype=moments[0].dtype, device=device)

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            assert self._built is not None
            assert self._built[:2] == (examples, repeats)
            n_examples, n_repeats = self.chosen[examples, repeats].shape
            weights = torch.ones(n_repeats, dtype=torch.float64, device=device)
            for index, end in enumerate(self._built[2]):
                grad = grads[index].to(end.dtype)
                grad = grad.view(n_examples, n_repeats, *grad.shape[1:])
                times = self.multiply_by_inputs
                moments[index][:, examples] += path_moments(
                    grad,
                    weights,
                    inputs=end if times else None,
                    baselines=self._tables[index] if times else None,
                    rows=self.chosen[examples, repeats] if times else None,
                    order=1 + errors,
                    example_major=True,
                )
                if sums:
                    each[examples, repeats] += self._sums(index, end, grad, examples, repeats)

        runner.gradients(self._points, batch, self.n_samples, consume, example_major=True)
        self._built = None
        return (
            tuple(part[0] for part in moments),
            tuple(part[1] for part in moments) if errors else (),
            each,
        )

    def _sums(
        self, index: int, end: Tensor, grad: Tensor, examples: slice, repeats: slice
    ) -> Tensor:
        """Return the sum over features of each draw's product, [examples, repeats]."""
        wide = _wide(grad)
        start = self._start(index, examples, repeats).to(wide)
        end = end.to(wide)
        step = torch.sub(end if end.dim() == start.dim() else end.unsqueeze(1), start, out=start)
        return flat_features(step.mul_(grad), 2).sum(2)

    def pair(self, draw: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """Return the ends and starts of one draw, [batch, *feat] each, and t, [batch]."""
        every, one = slice(0, self.inputs[0].shape[0]), slice(draw, draw + 1)
        ends, starts = (
            tuple(part(i, every, one)[:, 0].to(v.dtype) for i, v in enumerate(self.inputs))
            for part in (self._expanded_end, self._start)
        )
        return ends, starts, self._nodes[:, draw]

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
        if self.stdevs[index] != 0:
            return end
        return end.unsqueeze(1).expand(-1, repeats.stop - repeats.start, *[-1] * (end.dim() - 1))


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


def _wide(tensor: Tensor) -> torch.dtype:
    """Return the dtype of sums: float64 for float64, else float32."""
    return torch.promote_types(tensor.dtype, torch.float32)
