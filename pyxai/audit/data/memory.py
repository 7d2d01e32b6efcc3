"""Data that are objects of Python: tensors, data sets that are indexed, or gone through."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._files import bytes_of
from pyxai._random import quiet_batches
from pyxai.audit.data.source import (
    READ_WHOLE,
    Batch,
    Example,
    Like,
    OwnRandom,
    Source,
    as_example,
    batch_of,
    finite,
    form_of,
    reason_of,
)

__all__ = ["IndexedSource", "IteratedSource", "TensorSource"]


class TensorSource(Source):
    """Tensors or arrays, one row for each example."""

    kind = "tensors"

    def __init__(self, inputs: tuple[Any, ...], labels: Any, like: Like) -> None:
        self.inputs, self.like = inputs, like
        labels = labels.detach().cpu() if isinstance(labels, Tensor) else labels
        self.labels = np.asarray([] if labels is None else labels, np.float64)

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.inputs[0])

    def facts(self) -> list[str]:
        """Return a hash of all rows, where they are few enough to be read for that."""
        parts = [*self.inputs, self.labels]
        if sum(part.nbytes for part in parts) > READ_WHOLE:
            return []
        state = hashlib.blake2b(digest_size=16)
        for part in parts:
            rows = part if isinstance(part, Tensor) else torch.from_numpy(part.copy())
            state.update(bytes_of(rows))
        return [state.hexdigest()]

    def read(self, start: int, stop: int, seed: int) -> Batch:
        """Return rows, which depend on no seed."""
        inputs = tuple(self.like(part[start:stop]) for part in self.inputs)
        labels = self.labels[start:stop] if len(self.labels) else np.full(stop - start, np.nan)
        return finite(Batch(list(range(start, stop)), inputs, labels, {}))


class IndexedSource(Source):
    """What has a length and gives an example for a number, such as a ``Dataset``.

    An example that cannot be read is bad. One that draws from the global random states, or seeds
    them, has them seeded by its number; one that does not finds all the same. Which of the two, a
    look after each batch tells, and its examples are asked for again where one drew; where the
    first of the data set draws, all are seeded at once instead, as seeding costs as much as many an
    example. So what an example is depends on its number and the seed alone, also where it looks at
    a state and leaves no trace.
    """

    kind = "data set"

    def __init__(self, items: Any, like: Like, change: Callable[[Any], Any] | None = None) -> None:
        self.items, self.like, self.change = items, like, change
        self.form: list[tuple[Any, Any]] = []
        self._draws = False  # whether the first examples do
        self._may_draw = False  # whether another one did

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.items)

    def read(self, start: int, stop: int, seed: int) -> Batch:
        """Return examples; each is asked for by its number, some of them twice."""
        with OwnRandom() as states:
            for number in range(len(self)):  # the form is that of the first one of all
                if self.form:
                    break
                first, drew = self._watched(number, (seed, number), states)
                self._draws |= drew
                if isinstance(first, Example):
                    self.form[:] = form_of(first)
            numbers = range(start, stop)
            found = self._together(numbers, seed, states)
            if found is None:
                found = [self._alone(number, seed, states) for number in numbers]
            return batch_of(zip(numbers, found, strict=True), self.form)

    def _together(
        self, numbers: Iterable[int], seed: int, states: OwnRandom
    ) -> list[Example | str] | None:
        """Return examples that nobody drew for; None where one did, or may."""
        if self._draws or self._may_draw:
            return None
        states.watch(seed, 0)
        found = [self._example(number) for number in numbers]
        self._may_draw = states.moved()
        return None if self._may_draw else found

    def _alone(self, number: int, seed: int, states: OwnRandom) -> Example | str:
        if not self._draws:
            found, drew = self._watched(number, (seed, 0), states)
            if not drew:
                return found
        states.seed(seed, number)
        return self._example(number)

    def _watched(
        self, number: int, seed: tuple[int, int], states: OwnRandom
    ) -> tuple[Example | str, bool]:
        """Return an example, and whether random states were drawn from or seeded for it."""
        states.watch(*seed)
        return self._example(number), states.moved()

    def _example(self, number: int) -> Example | str:
        try:
            item = self.items[number]
            return as_example(self.change(item) if self.change else item, self.like)
        except MemoryError:
            raise
        except Exception as error:  # whatever a file or a transform makes of an example
            return reason_of(error)

    def facts(self) -> list[str]:
        """Return the type of the data set, and what that knows of its files."""
        files: list[str] = getattr(self.items, "names_and_sizes", list)()
        return [f"{type(self.items).__module__}.{type(self.items).__qualname__}", *files]


class IteratedSource(Source):
    """What can be gone through again and again from the beginning; it is counted once.

    Ranges that ascend are read in one pass. An error on the way ends the run: what would follow
    has no number.
    """

    kind = "iterable"

    def __init__(
        self, items: Iterable[Any], like: Like, change: Callable[[Any], Any] | None = None
    ) -> None:
        if iter(items) is items:
            raise TypeError(
                "dataset must be something that can be gone through more than once, got an "
                "iterator; give what makes it, such as an IterableDataset or a list"
            )
        self.items, self.like, self.change = items, like, change
        self.form: list[tuple[Any, Any]] = []
        self._count = -1
        self._place, self._seed = 0, -1
        self._left: Iterator[Any] | None = None

    def __len__(self) -> int:
        """Return how many examples there are; the first call goes through all."""
        if self._count < 0:
            self._count = sum(1 for _ in quiet_batches(self.items, seed=0))
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: not how far this one is."""
        return {**self.__dict__, "_left": None, "_place": 0}

    def read(self, start: int, stop: int, seed: int) -> Batch:
        """Return examples, from where the last call ended or from the beginning."""
        if self._left is None or start < self._place or seed != self._seed:
            self._left, self._place = quiet_batches(self.items, seed=seed), 0
            self._seed = seed
        return batch_of(self._examples(start, stop), self.form)

    def _examples(self, start: int, stop: int) -> Iterator[tuple[int, Example | str]]:
        assert self._left is not None
        while self._place < stop:
            try:
                item = next(self._left)
            except StopIteration:
                raise ValueError(
                    f"dataset must have {len(self)} examples every time, got {self._place}"
                ) from None
            number, self._place = self._place, self._place + 1
            if number >= start or not self.form:
                found = self._example(item)
                if not self.form and isinstance(found, Example):
                    self.form[:] = form_of(found)
                if number >= start:
                    yield number, found

    def _example(self, item: Any) -> Example | str:
        try:
            return as_example(self.change(item) if self.change else item, self.like)
        except (TypeError, ValueError) as error:
            return reason_of(error)

    def probes(self, count: int) -> list[int]:
        """Return the first numbers: others would cost a pass."""
        return list(range(min(count, len(self))))

    def facts(self) -> list[str]:
        """Return the type of what is gone through."""
        return [f"{type(self.items).__module__}.{type(self.items).__qualname__}"]


def is_labels(value: Any) -> bool:
    """Tell whether an array beside others holds one number for each example."""
    return getattr(value, "ndim", None) == 1 and (
        not isinstance(value, Tensor) or not value.is_complex()
    )
