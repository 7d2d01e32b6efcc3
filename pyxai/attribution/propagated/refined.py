"""Attributions through neurons of many inputs, finer and finer until their error is small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._errors import warn

__all__ = ["Refined"]

N_WAVES = 64  # of the quadrature; off by 0.5 % of the largest share at 13 to 200 inputs
MOST_WAVES = 1024
N_GROUPS = 4  # of permutations, whose spread is the error
MOST_GROUPS = 256

Tensors = tuple[Tensor, ...]
Run = Callable[..., tuple[Tensors, Tensor | None]]


class Refined:
    """The outcome of a method whose accuracy is an option.

    Parameters
    ----------
    run : callable
        ``run(**options)`` returns attributions [n_examples, *features] each, and the delta.
    options : dict
        ``n_permutations``, ``None`` for the quadrature, and ``seed``.
    with_errors : bool
        Whether errors are wanted.
    tolerance : float or None
        Largest error of an example; an example that is done stays as it is, so that it does not
        depend on what else is in the batch.

    Attributes
    ----------
    means, errors : tuple of Tensor, shape [n_examples, *features]
        Errors are 0 where every neuron was exact.
    delta : Tensor or None
        As ``run`` returned it.
    """

    def __init__(
        self, run: Run, options: dict[str, Any], with_errors: bool, tolerance: float | None
    ) -> None:
        self._run, self._tolerance = run, tolerance
        self._approximate: set[int] = set()
        self._wanted = with_errors or tolerance is not None
        if options["n_permutations"] is None:
            self._by_quadrature()
        else:
            self._by_groups(options["n_permutations"], options["seed"])
        if tolerance is not None:
            missed = int((self._worst() > tolerance).sum())
            if missed:
                warn(f"tolerance {tolerance:g} is not reached for {missed} example(s)")

    def _once(self, **options: Any) -> tuple[Tensors, Tensor | None]:
        return self._run(approximate=self._approximate, **options)

    def _worst(self) -> Tensor:
        """Return the largest error of each example."""
        return torch.stack([part.flatten(1).amax(1) for part in self.errors]).amax(0)

    def _open(self) -> Tensor:
        """Return which examples need more, bool [n_examples]."""
        if self._tolerance is None:
            return torch.zeros_like(self._worst(), dtype=torch.bool)
        return self._worst() > self._tolerance

    def _by_quadrature(self) -> None:
        n_waves = N_WAVES
        self.means, self.delta = self._once(n_waves=n_waves)
        self.errors = tuple(torch.zeros_like(part) for part in self.means)
        if not self._wanted or not self._approximate:
            return
        coarse, _ = self._once(n_waves=n_waves // 2)
        self.errors = tuple((a - b).abs() for a, b in zip(self.means, coarse, strict=True))
        while n_waves < MOST_WAVES and bool(self._open().any()):
            n_waves *= 2
            fine, _ = self._once(n_waves=n_waves)
            self._take(fine, tuple((a - b).abs() for a, b in zip(fine, self.means, strict=True)))

    def _by_groups(self, n_permutations: int, seed: int) -> None:
        groups = min(N_GROUPS, n_permutations)
        size = -(-n_permutations // groups)
        found: list[Tensors] = []

        def more(count: int) -> None:
            while len(found) < count:
                # The generator reads 32 bits.
                own = (seed * MOST_GROUPS + len(found)) % 2**32
                drawn, self.delta = self._once(n_permutations=size, seed=own)
                found.append(drawn)
                if not self._approximate:
                    return

        def moments() -> tuple[Tensors, Tensors]:
            stacked = [torch.stack(parts) for parts in zip(*found, strict=True)]
            means = tuple(part.mean(0) for part in stacked)
            if not self._approximate:
                return means, tuple(torch.zeros_like(mean) for mean in means)
            if len(found) < 2:
                return means, tuple(torch.full_like(mean, torch.inf) for mean in means)
            return means, tuple(part.std(0) / len(found) ** 0.5 for part in stacked)

        more(groups)
        self.means, self.errors = moments()
        while self._approximate and len(found) < MOST_GROUPS and bool(self._open().any()):
            more(2 * len(found))
            self._take(*moments())

    def _take(self, means: Tensors, errors: Tensors) -> None:
        """Take over what is new of the examples that need more."""
        rows = self._open()

        def chosen(new: Tensors, old: Tensors) -> Tensors:
            return tuple(
                torch.where(rows.view(-1, *[1] * (b.dim() - 1)), a, b)
                for a, b in zip(new, old, strict=True)
            )

        self.means, self.errors = chosen(means, self.means), chosen(errors, self.errors)
