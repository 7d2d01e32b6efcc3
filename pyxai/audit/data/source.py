"""What an audit asks of its data: how many examples there are, and those of a range."""

from __future__ import annotations

import pickle
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import describe, is_finite

__all__ = [
    "READ_WHOLE",
    "Batch",
    "Example",
    "Like",
    "OwnRandom",
    "Source",
    "as_example",
    "batch_of",
    "finite",
    "form_of",
    "reason_of",
]

READ_WHOLE = 2**30  # bytes of data that are hashed as a whole; of more, a sample of examples is
_REASON = 300  # characters of an error's message that are kept


Labels = np.ndarray[Any, np.dtype[np.float64]]


class Like(NamedTuple):
    """What the model takes: arrays get its dtype, everything its device."""

    dtype: torch.dtype
    device: torch.device

    def __call__(self, value: Any) -> Tensor:
        """Return a value as a tensor; dtypes that a tensor's owner chose stay."""
        if not isinstance(value, Tensor):
            value = torch.from_numpy(np.array(value))  # a copy: arrays may be read only
            value = value.to(self.dtype) if value.is_floating_point() else value
        elif not value.requires_grad and value.device == self.device:
            return value
        moved: Tensor = value.detach().to(self.device)
        return moved


class Example(NamedTuple):
    """One example, without a dimension that counts examples."""

    inputs: tuple[Tensor, ...]
    label: float


class Batch(NamedTuple):
    """The examples of a range that can be explained, and why the others cannot."""

    ids: list[int]
    """Numbers of the examples that are here, ascending."""
    inputs: tuple[Tensor, ...]
    """One row for each of ``ids``."""
    labels: Labels
    """One number for each of ``ids``, NaN where there is none."""
    bad: dict[int, str]
    """Reasons of the examples that are not here, by number."""

    def take(self, rows: list[int]) -> Batch:
        """Return some rows."""
        return Batch(
            [self.ids[row] for row in rows],
            tuple(tensor[rows] for tensor in self.inputs),
            self.labels[rows],
            {},
        )


class Source(ABC):
    """So many examples, numbered from 0.

    Attributes
    ----------
    kind : str
        What it was made of.
    like : Like
        What its examples are made to be.
    """

    kind: str
    like: Like

    @abstractmethod
    def __len__(self) -> int:
        """Return how many examples there are."""

    @abstractmethod
    def read(self, start: int, stop: int, seed: int) -> Batch:
        """Return examples ``start`` .. ``stop - 1``; an example depends on its number and seed."""

    def probes(self, count: int) -> list[int]:
        """Return the numbers of examples that stand for all."""
        last = len(self) - 1
        return sorted({round(at * last / max(1, count - 1)) for at in range(count)})

    def facts(self) -> list[str]:
        """Return what else tells it from others: hashes, names of files."""
        return []


def as_example(item: Any, like: Like) -> Example:
    """Read what a data set gives for one number: a tensor, or several and perhaps a label.

    Of several the last is the label if it is one number.
    """
    parts = list(item) if isinstance(item, (tuple, list)) else [item]
    label = np.nan
    if len(parts) > 1 and _is_number(parts[-1]):
        label = float(parts.pop())
    for part in parts:
        if not isinstance(part, (Tensor, np.ndarray, Real, list)):
            raise TypeError(
                "dataset must give a tensor or an array, or a tuple of these and perhaps a number "
                f"as label, got {describe(part)}; turn it into tensors in the data set"
            )
    return Example(tuple(like(part) for part in parts), label)


def batch_of(examples: Iterable[tuple[int, Example | str]], form: list[tuple[Any, Any]]) -> Batch:
    """Put examples together; those of another form than ``form``, or not finite, are bad.

    Parameters
    ----------
    examples : iterable of (int, Example or str)
        Numbers, and examples or reasons why there is none.
    form : list of (shape, dtype)
        Of the inputs, as `form_of` returns it; without one no example was good.
    """
    ids: list[int] = []
    good: list[Example] = []
    bad: dict[int, str] = {}
    for number, found in examples:
        if isinstance(found, str):
            bad[number] = found
            continue
        mine = form_of(found)
        if mine != form:
            bad[number] = (
                f"ValueError: inputs must be {_form(form)} as others are, got {_form(mine)}"
            )
            continue
        ids.append(number)
        good.append(found)
    if not good:
        return Batch([], (), np.zeros(0), bad)
    stacked = tuple(torch.stack(each) for each in zip(*(e.inputs for e in good), strict=True))
    return finite(Batch(ids, stacked, np.array([each.label for each in good]), bad))


def form_of(example: Example) -> list[tuple[Any, Any]]:
    """Return shape and dtype of each input."""
    return [(tuple(part.shape), part.dtype) for part in example.inputs]


def finite(batch: Batch) -> Batch:
    """Move the examples that hold a NaN or an infinity to the bad ones."""
    if all(map(is_finite, batch.inputs)):
        return batch
    fine = torch.ones(len(batch.ids), dtype=torch.bool)
    for tensor in batch.inputs:
        fine &= torch.isfinite(tensor).flatten(1).all(1).cpu()
    rows = fine.nonzero()[:, 0].tolist()
    bad = dict(batch.bad)
    for row in (~fine).nonzero()[:, 0].tolist():
        bad[batch.ids[row]] = "ValueError: inputs must be finite, got NaN or infinity"
    return batch.take(rows)._replace(bad=bad)


def reason_of(error: BaseException) -> str:
    """Say what went wrong with an example, in one line."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:_REASON].rstrip(": ")


class OwnRandom:
    """The global random states, that data sets draw from when they augment, seeded at will.

    Those of torch, NumPy and Python; in the end of a block they are as they were.
    """

    def __init__(self) -> None:
        self._found = _random_states()
        self._watched: tuple[tuple[int, int] | None, bytes] = None, b""

    def __enter__(self) -> OwnRandom:
        return self

    def seed(self, of_run: int, example: int) -> None:
        """Seed all three."""
        word = int(np.random.SeedSequence((of_run, example)).generate_state(1, np.uint64)[0])
        torch.default_generator.manual_seed(word >> 1)
        np.random.seed(word >> 32)  # noqa: NPY002
        random.seed(word)

    def watch(self, of_run: int, example: int) -> None:
        """Seed all three, and let `moved` compare with them.

        Just seeded, they keep no half of a pair of normal numbers, which could be drawn without a
        trace.
        """
        self.seed(of_run, example)
        if self._watched[0] != (of_run, example):  # it takes longer to read them than to seed
            self._watched = (of_run, example), pickle.dumps(_random_states())

    def moved(self) -> bool:
        """Tell whether one of the states is another since `watch`: drawn from, or seeded."""
        return self._watched[1] != pickle.dumps(_random_states())

    def __exit__(self, *_: object) -> None:
        state, of_numpy, of_python = self._found
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


def _random_states() -> tuple[bytes, Any, Any]:
    legacy = np.random.get_state()  # noqa: NPY002 # the one that data sets draw from
    return torch.get_rng_state().numpy().tobytes(), legacy, random.getstate()


def _is_number(value: Any) -> bool:
    if type(value) in (int, float):  # most are, and the others take longer to tell
        return True
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim == 0
    return isinstance(value, (Real, np.generic))


def _form(form: list[tuple[Any, Any]]) -> str:
    return ", ".join(f"{str(dtype).removeprefix('torch.')} {list(shape)}" for shape, dtype in form)
