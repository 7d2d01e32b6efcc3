"""Time a method, count the rows that it asks the model for, and compare with the bare model."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import registry
from pyxai._signatures import option_parameters
from pyxai._timing import (
    Candidate,
    bare_gradients,
    bare_outputs,
    best_size,
    extra_peak_bytes,
    interleave,
    median_ratio,
    time_call,
)

__all__ = ["Case", "Measured", "bare_sizes", "measure"]

_CPU = torch.device("cpu")
_ROWS = 1024  # of the bare model that are timed; what more rows take follows
_BYTES = 2**28  # of those
_SIZES = (1, 4, 16, 64, 256, 1024)
_MOST_ROUNDS = 15


@dataclass(frozen=True)
class Case:
    """A method, and what it is given."""

    model: Callable[..., Any]
    inputs: Tensor
    method: registry.Method
    target: Any
    first: dict[str, Any]
    """For the constructor."""
    options: dict[str, Any]
    """For `attribute`."""

    @classmethod
    def of(
        cls,
        model: Callable[..., Any],
        inputs: Tensor,
        name: str,
        target: Any,
        given: dict[str, Any],
    ) -> Case:
        """Divide options among constructor and `attribute`."""
        method = registry.get(name)
        known = {each.name for each in option_parameters(method.factory)}
        first = {key: value for key, value in given.items() if key in known}
        rest = {key: value for key, value in given.items() if key not in known}
        return cls(model, inputs, method, target, first, rest)

    def call(self, model: Callable[..., Any] | None = None) -> Candidate:
        """Return a call that explains the inputs."""
        explainer = self.method.factory(model or self.model, **self.first)
        return lambda: explainer.attribute(self.inputs, target=self.target, **self.options)


@dataclass(frozen=True)
class Measured:
    """What a method takes.

    ``outputs`` and ``gradients`` are the rows that went through the model forward, and forward and
    backward; None for methods that run a traced graph instead, which are compared with one gradient
    of each row. ``of_the_bare_model`` is how many times as long the method takes as these rows do
    by themselves, at their best batch size; ``of_peer`` as the same method of another package.
    """

    method: str
    seconds: float
    outputs: int | None
    gradients: int | None
    peak_bytes: int | None
    of_the_bare_model: float
    rounds: int
    of_peer: dict[str, float] = field(default_factory=dict)
    note: str = ""


class _Counting(nn.Module):
    """A model that counts the rows that come through it."""

    def __init__(self, model: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.forwards = self.backwards = 0
        self.training = False  # of an exported program the mode is not to be set

    def forward(self, rows: Tensor) -> Any:
        self.forwards += len(rows)
        outputs = self.model(rows)
        if isinstance(outputs, Tensor) and outputs.requires_grad:
            outputs.register_hook(self._back)  # type: ignore[no-untyped-call]
        return outputs

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def bare_sizes(inputs: Tensor, fixed: int | None) -> tuple[Tensor, tuple[int, ...]]:
    """Return rows for the bare model, and the sizes of batches to try; a program may have one."""
    count = max(1, min(_ROWS, _BYTES // max(inputs[0].nbytes, 1)))
    if fixed is not None:
        return inputs, (fixed,)
    rows = inputs[torch.arange(count) % len(inputs)]
    # Much smaller ones take the most time to try, and are never the best.
    return rows, tuple(size for size in _SIZES if count <= 64 * size <= 64 * count)


def measure(
    case: Case,
    bare: tuple[Tensor, tuple[int, ...]],
    seconds: float,
    peers: dict[str, Candidate] | None = None,
) -> Measured:
    """Time a method and the bare model in turns, for about so many seconds.

    Parameters
    ----------
    case : Case
        The method.
    bare : tuple
        As `bare_sizes` makes it.
    seconds : float
        How long to measure.
    peers : dict of str to callable, optional
        What to compare with, beside the bare model.
    """
    run, rows = case.call(), len(case.inputs)
    outputs, gradients = _rows_of(case)
    run()  # traces, measures its memory
    peak = extra_peak_bytes(run)
    asked = (0, rows) if outputs is None or gradients is None else (outputs, gradients)
    candidates = {"ours": run, **(peers or {})}
    shares = {}
    for kind, number, make in zip(
        ("outputs", "gradients"), asked, (bare_outputs, bare_gradients), strict=True
    ):
        if number:
            candidates[kind] = _fastest(make, case.model, bare)
            shares[kind] = number / len(bare[0])
    once = sum(time_call(each, _CPU).wall for each in candidates.values())
    rounds = max(1, min(_MOST_ROUNDS, int(seconds / max(once, 1e-9))))
    taken = interleave(candidates, rounds=rounds, warm_up=1 if rounds > 1 else 0)
    wall = {name: [each.wall for each in row] for name, row in taken.items()}
    floor = [sum(shares[kind] * wall[kind][turn] for kind in shares) for turn in range(rounds)]
    return Measured(
        case.method.name,
        statistics.median(wall["ours"]),
        outputs,
        gradients,
        peak,
        median_ratio(wall["ours"], floor),
        rounds,
        {name: median_ratio(wall["ours"], wall[name]) for name in peers or ()},
    )


def _fastest(
    make: Callable[[Any, Tensor, int], Candidate], model: Any, bare: tuple[Tensor, tuple[int, ...]]
) -> Candidate:
    """Return the call of the bare model whose batches have the best of the sizes."""
    rows, sizes = bare
    return make(model, rows, best_size(lambda size: make(model, rows, size), sizes, rounds=2))


def _rows_of(case: Case) -> tuple[int | None, int | None]:
    """Count the rows that a method asks the model for."""
    if "traced" in case.method.cost:
        return None, None
    counting = _Counting(case.model)
    run = case.call(counting)
    run()  # a first call measures its memory on a few rows
    counting.forwards = counting.backwards = 0
    run()
    return counting.forwards - counting.backwards, counting.backwards
