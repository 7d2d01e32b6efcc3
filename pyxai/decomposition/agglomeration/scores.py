"""Scores of groups of units, each asked for once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.decomposition.agglomeration.units import Units
from pyxai.runner import Target

__all__ = ["Explained", "GroupScores"]

# Up to this many spans of a sentence are scored in the first call. That is 31 words; their spans
# cost an LSTM twice as much as its words alone, and save a call in each of dozens of iterations.
MOST_SPANS = 512

FloatArray = npt.NDArray[np.float64]
Ask = Callable[[Tensor], Tensor]


class Explained:
    """The number among the outputs that orders groups: that of a class, or of one minus another.

    Parameters
    ----------
    target : Any
        In captum's forms.
    subtract : bool or int
        Which output is taken off: none, the other one of two, or the one of that number.
    n_examples : int
        How many there are.
    """

    def __init__(self, target: Any, subtract: bool | int, n_examples: int) -> None:
        self.target = Target(target)
        self.target.check_examples(n_examples)
        self.subtract = subtract
        if subtract is not False and not self.target.given:
            raise ValueError("target must be given to subtract another output from it, got None")

    def index(self, example: int) -> tuple[int, ...] | None:
        """Return the indices of the explained output of an example."""
        if self.target.rows is not None:
            return tuple(self.target.rows[example].tolist())
        return self.target.shared

    def of(self, outputs: Tensor, example: int) -> list[float]:
        """Return the number of each row of outputs [n_groups, *outputs]."""
        place = slice(example, example + 1)
        index = self.index(example)
        if outputs.dim() == 1 and index is not None:  # scorers drop the dimension of one output
            outputs = outputs.view(-1, *[1] * len(index))
        found = self.target.select(outputs, place, len(outputs), True).double()
        if self.subtract is not False:
            other = Target(self._other(outputs, example))
            found = found - other.select(outputs, place, len(outputs), True).double()
        return [float(value) for value in found.tolist()]

    def _other(self, outputs: Tensor, example: int) -> int:
        index = self.index(example)
        assert index is not None  # checked when made
        if self.subtract is True:
            if outputs.dim() != 2 or outputs.shape[1] != 2:
                raise ValueError(
                    "subtract must be the number of an output for a model that does not have two, "
                    f"got True for outputs of shape [rows, "
                    f"{', '.join(map(str, outputs.shape[1:]))}]"
                )
            return 1 - index[0]
        return int(self.subtract)


class GroupScores:
    """Scores of groups of one example; what is known is not asked for again.

    Parameters
    ----------
    ask : callable
        From masks [1, n_groups, *features] to scores [n_groups, *outputs].
    units : Units
        Of the example.
    inputs : Tensor, shape [1, *features]
        The example.
    explained : Explained
        Which output orders groups.
    example : int
        Which example of the batch it is.
    """

    def __init__(
        self, ask: Ask, units: Units, inputs: Tensor, explained: Explained, example: int
    ) -> None:
        self.units, self.inputs = units, inputs
        self.tolerance = 0.0
        self._ask, self._explained, self._example = ask, explained, example
        self._vectors: dict[int, Tensor] = {}
        self._values: dict[int, float] = {}

    def need(self, groups: Iterable[int]) -> None:
        """Score those groups that are not known yet, all in one call."""
        new = [group for group in dict.fromkeys(groups) if group not in self._values]
        if not new:
            return
        found = self._ask(self.units.masks(new, self.inputs))
        values = self._explained.of(found, self._example)
        for group, vector, value in zip(new, found, values, strict=True):
            self._vectors[group], self._values[group] = vector, value
        # Two scores that are equal but for rounding order nothing.
        scale = max(abs(value) for value in values)
        self.tolerance = max(self.tolerance, 64 * torch.finfo(found.dtype).eps * scale)

    def need_spans(self, choice: bool | None) -> None:
        """Score all runs of neighbouring words, where that is cheaper in the end."""
        count = self.units.count
        if choice or (choice is None and count * (count + 1) // 2 <= MOST_SPANS):
            self.need(
                (1 << stop) - (1 << start)
                for start in range(count)
                for stop in range(start + 1, count + 1)
            )

    def singles(self) -> FloatArray:
        """Return the score of each unit, float64 [n_units]."""
        groups = [1 << unit for unit in range(self.units.count)]
        self.need([*groups, self.units.everything])
        return np.array([self[group] for group in groups])

    def vector(self, group: int) -> Tensor:
        """Return the scores of a group for all outputs, [*outputs]."""
        self.need([group])
        return self._vectors[group]

    def __getitem__(self, group: int) -> float:
        """Return the number that orders groups."""
        self.need([group])
        return self._values[group]


def check_scores(found: Any, n_groups: int) -> Tensor:
    """Return what a scorer gave for one example, [n_groups, *outputs], once it fits."""
    if not isinstance(found, Tensor):
        raise TypeError(f"scorer must return a tensor, got {describe(found)}")
    if found.dim() < 2 or tuple(found.shape[:2]) != (1, n_groups):
        raise ValueError(
            f"scorer must return shape [1, {n_groups}, ...] for {n_groups} groups of one example, "
            f"got {list(found.shape)}"
        )
    if not found.is_floating_point() or not bool(found.isfinite().all()):
        raise ValueError(
            f"scorer must return finite numbers, got {found.dtype} or a NaN or an infinity"
        )
    return found[0].detach()
