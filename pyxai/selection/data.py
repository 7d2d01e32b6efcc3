"""Rows and labels of a data set, batch by batch, from tensors or from a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_int, check_tensor, describe
from pyxai._inputs import format_inputs
from pyxai._random import quiet_batches
from pyxai.ops import philox_uniform
from pyxai.runner.state import find_modules, left_as_found

__all__ = ["Batch", "DataSet"]

_CHUNK = 2**16  # rows of a tensor that are embedded and looked at together


class Batch(NamedTuple):
    """Some rows."""

    inputs: tuple[Tensor, ...]  # [rows, *features] each
    labels: Tensor  # [rows, ...]

    def rows(self, which: slice) -> Batch:
        """Return some of them."""
        return Batch(tuple(value[which] for value in self.inputs), self.labels[which])


class DataSet:
    """A data set that can be gone through any number of times.

    Parameters
    ----------
    data : pair of tensors, or iterable of such pairs
        ``(inputs, labels)``; inputs are one tensor or a tuple of tensors, dimension 0 counts rows.
        ``(first, second, ..., labels)`` is read as ``((first, second, ...), labels)``.
        An iterable, such as a ``DataLoader``, is iterated anew for every pass. Passes leave the
        global random state of torch as it is and start from the same one each, so that a loader
        that shuffles gives its rows in one order, unless it has a generator of its own.
    embed : callable, optional
        Turns the tensors of a batch into what the model takes, for instance integer categories
        into their embeddings. It is called in every pass; of tensors, for at most 65,536 rows at a
        time.
    device : torch.device, optional
        Where batches of a loader are moved to.

    Raises
    ------
    TypeError
        If the data are of another form.
    ValueError
        If an iterable can be gone through only once.
    """

    def __init__(
        self,
        data: Any,
        *,
        embed: Callable[..., Any] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._embed = embed
        self._device = device
        self._modules = () if embed is None else find_modules(embed)
        _check_no_arrays(data)
        self._pair = _is_pair(data)
        if not self._pair:
            if not isinstance(data, Iterable) or isinstance(data, (Tensor, str, dict)):
                raise TypeError(
                    "data must be a pair (inputs, labels) of tensors or an iterable of such "
                    f"pairs, got {describe(data)}"
                )
            if data is _first_iterator(data):
                raise ValueError(
                    "data must be iterable more than once, as a DataLoader or a list is, got an "
                    f"iterator ({type(data).__name__})"
                )
        self._data = data
        self._whole: Batch | None = None  # rows of tensors, once they are checked
        self._shapes: list[Any] | None = None

    @classmethod
    def of_rows(cls, rows: Batch) -> DataSet:
        """Return the data set of rows that were checked before."""
        found = cls((rows.inputs, rows.labels))
        found._whole = rows
        return found

    def batches(self) -> Iterator[Batch]:
        """Go through all rows.

        Raises ``ValueError`` if there are none, sizes differ, or a value is NaN or infinite.
        """
        if self._pair:
            yield from self._chunks()
            return
        empty = True
        for item in quiet_batches(self._data, seed=0):
            empty = False
            yield self._batch(item)
        if empty:
            raise ValueError("data must give at least one batch, got none")

    def first(self) -> Batch:
        """Return a batch, for its shapes."""
        return next(self.batches())

    def mean(self) -> tuple[Tensor, ...]:
        """Return the mean row of each input tensor, [1, *features], in its dtype."""
        total: list[Tensor] = []
        count, dtypes = 0, []
        for inputs, labels in self.batches():
            sums = [value.double().sum(0, keepdim=True) for value in inputs]
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
            count, dtypes = count + len(labels), [value.dtype for value in inputs]
        return tuple((s / count).to(dtype) for s, dtype in zip(total, dtypes, strict=True))

    def sample(self, size: int, *, seed: int, name: str = "sample_size") -> DataSet:
        """Return ``size`` random rows, the same whatever the batches; held in memory.

        A smaller sample of the same seed is the first rows of a larger one. Raises ``ValueError``
        if there are fewer rows; it calls the size ``name``.
        """
        check_int(name, size, minimum=1)
        kept: Batch | None = None
        keys = torch.empty(0, dtype=torch.float64)
        seen = 0
        for batch in self.batches():
            ids = torch.arange(seen, seen + len(batch.labels))
            own = philox_uniform((1,), 1, seed=seed, example_ids=ids, dtype=torch.float64).view(-1)
            seen += len(ids)
            keys = torch.cat([keys, own])
            kept = batch if kept is None else _joined([kept, batch])
            # A row stays if its key is among the smallest so far.
            best = keys.argsort(stable=True)[:size]
            keys, kept = keys[best], _rows(kept, best)
        if seen < size:
            raise ValueError(f"{name} must be at most the {seen} rows of data, got {size}")
        assert kept is not None
        return DataSet.of_rows(kept)

    def part(self, rows: slice) -> DataSet:
        """Return some rows of a data set given as tensors."""
        return DataSet.of_rows(self.gathered().rows(rows))

    def gathered(self) -> Batch:
        """Return all rows at once."""
        if self._pair and self._embed is None:
            return self._checked()
        return _joined(list(self.batches()))

    def _checked(self) -> Batch:
        """Return the rows of tensors, which are checked the first time only."""
        if self._whole is None:
            self._whole = self._batch(self._data)
        return self._whole

    def _chunks(self) -> Iterator[Batch]:
        """Go through the rows of tensors; embeddings are made of some at a time, in each pass."""
        if self._embed is None:
            whole = self._checked()
            for rows in _slices(len(whole.labels)):
                yield whole.rows(rows)
            return
        given, labels = _parts(self._data)
        raw = given if isinstance(given, (tuple, list)) else (given,)
        for value in raw:
            _check_labels(labels, value)
        for rows in _slices(len(labels)):
            yield self._batch((tuple(value[rows] for value in raw), labels[rows]))

    def _batch(self, item: Any) -> Batch:
        given, labels = _parts(item)
        if self._device is not None and not self._pair:
            labels = labels.to(self._device)
            given = _moved(given, self._device)
        if self._embed is not None:
            parts = given if isinstance(given, (tuple, list)) else (given,)
            with left_as_found(self._modules), torch.no_grad():
                given = self._embed(*parts)
        inputs, _ = format_inputs(given, gradients=True)
        _check_labels(labels, inputs[0])
        shapes = [list(value.shape[1:]) for value in inputs]
        self._shapes = shapes if self._shapes is None else self._shapes
        if shapes != self._shapes:
            raise ValueError(
                f"inputs must have rows of one shape in all batches, {self._shapes}, got {shapes}"
            )
        return Batch(inputs, labels.detach())


def _check_no_arrays(data: Any) -> None:
    """Raise for arrays and tables of other packages, whose rows would be taken for batches."""
    if not isinstance(data, (tuple, list)):
        return
    for part in data[:2]:
        for value in part if isinstance(part, (tuple, list)) else (part,):
            if hasattr(value, "__array__") and not isinstance(value, Tensor):
                raise TypeError(
                    f"data must hold tensors, got {describe(value)}; torch.as_tensor makes one of "
                    "an array"
                )


def _parts(item: Any) -> tuple[Any, Tensor]:
    """Return the inputs, one or several, and the labels of a batch."""
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        raise TypeError(f"data must give pairs (inputs, labels), got {describe(item)}")
    *several, labels = item
    return tuple(several) if len(several) > 1 else several[0], check_tensor("labels", labels)


def _check_labels(labels: Tensor, rows: Tensor) -> None:
    count = len(rows) if rows.dim() else 0
    if labels.dim() == 0 or len(labels) != count:
        raise ValueError(
            f"labels must have one entry for each of {count} rows, got shape {list(labels.shape)}"
        )


def _slices(count: int) -> Iterator[slice]:
    """Cut rows into chunks; no rows are one, whose check will say so."""
    return (slice(start, start + _CHUNK) for start in range(0, max(count, 1), _CHUNK))


def _is_pair(data: Any) -> bool:
    """Tell inputs and labels from a list of batches."""
    if not isinstance(data, (tuple, list)) or len(data) < 2:
        return False
    if isinstance(data, list) and len(data) > 2:  # a list of tensors is one of batches
        return False
    nested = len(data) == 2 and isinstance(data[0], (tuple, list))
    parts = (*data[0], data[1]) if nested else data
    return all(isinstance(value, Tensor) for value in parts)


def _first_iterator(data: Iterable[Any]) -> Iterator[Any]:
    with left_as_found(()):
        return iter(data)


def _moved(given: Any, device: torch.device) -> Any:
    if isinstance(given, (tuple, list)):
        return tuple(_moved(value, device) for value in given)
    return given.to(device) if isinstance(given, Tensor) else given


def _joined(batches: list[Batch]) -> Batch:
    columns = zip(*(batch.inputs for batch in batches), strict=True)
    return Batch(
        tuple(torch.cat(column) for column in columns),
        torch.cat([batch.labels for batch in batches]),
    )


def _rows(batch: Batch, index: Tensor) -> Batch:
    return Batch(
        tuple(value[index.to(value.device)] for value in batch.inputs),
        batch.labels[index.to(batch.labels.device)],
    )
