"""Models that make one output of all rows, and callers that repeat rows before they reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._checks import check_tensor

__all__ = [
    "MixedRowsError",
    "agree",
    "another_row",
    "are_copies",
    "are_equal",
    "blocks_of_rows",
    "check_rows",
    "each_row",
    "in_blocks",
    "in_rounds",
    "per_output",
]

Result = TypeVar("Result")

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_copied: ContextVar[bool] = ContextVar("pyxai_copied", default=False)
_blocks: ContextVar[int] = ContextVar("pyxai_blocks", default=1)


class MixedRowsError(ValueError):
    """Copies of examples went through a model that has no output for each of its rows."""


def in_rounds(
    n_copies: int, at_most: int, work: Callable[[int, int], Result]
) -> Iterator[tuple[int, int, Result]]:
    """Do work on all copies of the examples, several of each at a time where rows are independent.

    Whoever repeats rows and gives them to a method hides from the runner which rows belong
    together. A model that makes one output of all rows, such as their mean, would give it a
    fraction of the truth; it is given one copy of the batch at a time instead. So is one that
    fails: it may run on as many rows as the user gave, and if not, its error speaks of these.

    Parameters
    ----------
    n_copies : int
        Copies of every example.
    at_most : int
        Upper bound of the copies of every example in one round.
    work : callable
        ``work(start, count)`` explains copies ``start .. start + count - 1`` of every example. It
        may be called again for copies that it was called for, so it must not keep count.

    Yields
    ------
    tuple of int, int and what ``work`` returns
        Number of the first copy, how many there are, and the result.
    """
    start = 0
    while start < n_copies:
        count = min(at_most, n_copies - start)
        try:
            with _copies(count):
                result = work(start, count)
        except Exception:
            if count == 1:
                raise
            at_most = 1
            continue
        yield start, count, result
        start += count


def are_copies() -> bool:
    """Whether the rows that a model is given now are copies of examples, see `in_rounds`."""
    return _copied.get()


@contextmanager
def in_blocks(count: int) -> Iterator[None]:
    """Run a block of code whose examples are the same ones ``count`` times, for as many targets.

    All examples of the first target come first, then those of the second. `Runner` compares the
    rows that are made of them, and gives the model once those that are equal for several targets.
    """
    token = _blocks.set(count)
    try:
        yield
    finally:
        _blocks.reset(token)


def blocks_of_rows(n_examples: int) -> int:
    """Return how many times over so many examples may be the same ones, see `in_blocks`."""
    count = _blocks.get()
    return 1 if n_examples % count else count


@contextmanager
def _copies(count: int) -> Iterator[None]:
    token = _copied.set(_copied.get() or count > 1)
    try:
        yield
    finally:
        _copied.reset(token)


def check_rows(shape: tuple[int | None, ...], n_rows: int) -> bool:
    """Tell whether outputs of a shape have a row for each of the model's rows.

    If not, they are one scalar for all of them. A size that is not known is ``None``.

    Raises
    ------
    MixedRowsError
        If not, and the rows are copies of examples.
    ValueError
        If there is not one row for each, nor one scalar in all.
    """
    if shape and shape[0] == n_rows:
        return True
    scalar = all(size == 1 for size in shape)
    if scalar and not _copied.get():
        return False
    kind = MixedRowsError if _copied.get() else ValueError
    raise kind(
        f"model must return one row for each of {n_rows} input rows, or one scalar, "
        f"got shape {list(shape)}"
    )


def agree(found: Any, own: Any) -> bool:
    """Whether what a model returned twice is the same but for rounding.

    That of two orders of summation, each with the cancellation of a whole network.
    """
    if not isinstance(own, Tensor) or found.shape != own.shape:
        return False
    found = found.to(own.device)
    if not own.is_floating_point():
        return torch.equal(found, own)
    tolerance = max(torch.finfo(each.dtype).eps for each in (found, own)) ** 0.5
    largest = own.double().abs().nan_to_num(0.0, 0.0, 0.0).amax() if own.numel() else 0.0
    return torch.allclose(
        found.double(), own.double(), rtol=0.0, atol=float(tolerance * largest), equal_nan=True
    )


def another_row(row: Tensor) -> Tensor:
    """Return a row [1, *features] of other numbers; of a row of ids of those that it has."""
    if not row.is_floating_point():
        return row.flip(tuple(range(1, row.dim())))
    other = torch.zeros_like(row)
    return other + 1 if torch.equal(other, row) else other


def are_equal(left: Any, right: Any) -> bool:
    """Whether two nests of tensors of one form hold the same bits, and else the same objects."""
    pairs = zip(pytree.tree_leaves(left), pytree.tree_leaves(right), strict=True)
    return all(one is other or _have_equal_bits(one, other) for one, other in pairs)


def _have_equal_bits(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor) and one.dtype == other.dtype):
        return False
    if one.is_floating_point():  # two zeros are equal, and NaN is not
        one, other = (each.view(_WORDS[each.element_size()]) for each in (one, other))
    return torch.equal(one, other)


def each_row(outputs: Any, n_rows: int) -> Tensor:
    """Return a model's outputs, for a function that sets them beside what belongs to its rows.

    Raises
    ------
    TypeError
        If they are no tensor.
    ValueError
        If there is not one for each row: what belongs to the rows would be broadcast.
    """
    found = check_tensor("model output", outputs)
    if not check_rows(found.shape, n_rows):
        raise ValueError(f"model must return one row for each of {n_rows} rows, got one for all")
    return found


def per_output(totals: Tensor, outputs: Tensor) -> Tensor:
    """Return what examples add up to, [batch, ...], for each of the model's outputs.

    Where it has one output for the whole batch, [1, ...], all examples share it.
    """
    return totals if len(outputs) == len(totals) else totals.sum(0, keepdim=True)
