"""Time a method, count the rows that it asks the model for, and compare with the bare model."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import registry
from pyxai._signatures import option_parameters, required_names
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
from pyxai.methods.store import takes_target

__all__ = ["Case", "Measured", "measure"]

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
        """Divide options among constructor and `attribute`.

        Raises
        ------
        ValueError
            If the method needs what is not given, such as a layer or baselines.
        """
        method = registry.get(name)
        known = {each.name for each in option_parameters(method.factory)}
        first = {key: value for key, value in given.items() if key in known}
        rest = {key: value for key, value in given.items() if key not in known}
        needed = (*required_names(method.factory), *required_names(method.cls.attribute))
        for each in needed:
            if each not in {"inputs", "target", *first, *rest}:
                raise ValueError(f"options of {name} must have {each}, got none")
        return cls(model, inputs, method, target, first, rest)

    def call(self, model: Callable[..., Any] | None = None) -> Candidate:
        """Return a call that explains the inputs."""
        explainer = self.method.factory(model or self.model, **self.first)
        options = self.options
        if takes_target(self.method.cls):
            options = {"target": self.target, **options}
        return lambda: explainer.attribute(self.inputs, **options)


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


def measure(
    case: Case,
    seconds: float,
    peers: dict[str, Candidate] | None = None,
    fixed: int | None = None,
) -> Measured:
    """Time a method and the bare model in turns, for about so many seconds.

    Parameters
    ----------
    case : Case
        The method.
    seconds : float
        How long to measure.
    peers : dict of str to callable, optional
        What to compare with, beside the bare model.
    fixed : int, optional
        The one size of a batch that the model takes.
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
            candidates[kind], shares[kind] = _bare(make, case, number, fixed)
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


def _bare(
    make: Callable[[Any, Tensor, int], Candidate], case: Case, number: int, fixed: int | None
) -> tuple[Candidate, float]:
    """Return the bare model on as many rows, or a part of them, and how many parts there are.

    Batches have the best of the usual sizes, or the one that a program was exported for.
    """
    inputs = case.inputs
    count = max(1, min(number, _ROWS, _BYTES // max(inputs[0].nbytes, 1)))
    if fixed is not None:
        return make(case.model, inputs, fixed), number / len(inputs)
    rows = inputs[torch.arange(count) % len(inputs)]
    # Much smaller batches take the most time to try, and are never the best.
    sizes = {min(size, count) for size in _SIZES if count <= 64 * size}
    size = best_size(lambda size: make(case.model, rows, size), sorted(sizes), rounds=2)
    return make(case.model, rows, size), number / count


def _rows_of(case: Case) -> tuple[int | None, int | None]:
    """Count the rows that a method asks the model for."""
    if "traced" in case.method.cost or case.method.of == "neuron":
        return None, None  # what goes back from a neuron does not pass the outputs
    counting = _Counting(case.model)
    run = case.call(counting)
    run()  # a first call measures its memory on a few rows
    counting.forwards = counting.backwards = 0
    run()
    return counting.forwards - counting.backwards, counting.backwards
