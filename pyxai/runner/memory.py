"""How many rows go through the model at once.

The answer depends on sizes only, never on the clock, so that the same call twice takes the same
passes and gives the same bits. `measure` runs the model on two and on four rows and counts the
bytes that live at once; `rows_for` divides a budget by that. Where memory still runs out,
`Schedule` halves the pass and, after some passes that went well, grows back.
"""

from __future__ import annotations

import functools
import math
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = [
    "CPU_BUDGET",
    "CUDA_BUDGET",
    "LiveBytes",
    "Measure",
    "Schedule",
    "is_out_of_memory",
    "rows_for",
]

# Bytes that live at once in a pass. On a CPU, for each thread: a pass should stay near the caches
# and still be long against the 0.1 ms that it costs to set up; the curve is flat within a factor of
# two (benchmarks/runner/test_runner.py). On a GPU: enough to fill the device.
CPU_BUDGET = 3 * 2**20
CPU_THREADS = 16
CUDA_BUDGET = 2 * 2**30
# Fewer rows than this make convolutions slow and passes many, so rows outweigh the caches as long
# as all of them together need no more than the limit beside them.
CPU_ROWS = ((512, 32 * 2**20), (64, 256 * 2**20), (32, 2**30))
# Attention kernels of torch make a block of threads for each row along an axis of the launch grid
# that ends at 65 535.
MAXIMUM_ROWS = 2**15
_SPARE = 1.1

_PATIENCE = 8  # passes that must go well before a halved pass grows back


@dataclass(frozen=True)
class Measure:
    """What was learned about a model from a few rows."""

    bytes_per_row: float = 0.0
    constant_bytes: float = 0.0
    whole_batch: bool = False
    """Whether the model must be given all examples at once, each once: it returns one scalar for
    the batch, or fails on another number of rows."""
    writes_inputs: bool = True
    """Whether the model changes its input in place."""
    joins_rows: bool = False
    """Whether its outputs were seen to belong to all rows together, whatever their number."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Count the bytes of the tensors that operations create: now, and at the peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known: set[int] = set()
        self._finalizers: list[Any] = []

    def __exit__(self, *error: Any) -> None:
        """Stop, and leave nothing on tensors that live on, such as the user's."""
        for each in self._finalizers:
            each.detach()
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for value in tree_leaves((args, kwargs)):
            self._note(value, created=False)
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            self._note(value, created=True)
        return result

    def _note(self, value: Any, created: bool) -> None:
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return
        storage = value.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes() if created else 0
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        self._finalizers.append(weakref.finalize(storage, self._release, key, size))

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def rows_for(
    measure: Measure, device: torch.device, max_rows: int | None, n_repeats: int = 1
) -> int:
    """Return how many rows a pass should have, at least 1, where an example has ``n_repeats``."""
    per_row = max(measure.bytes_per_row, 1.0)
    if device.type == "cuda":
        # Half of what is free, for what operations allocate inside; a power of two, so that small
        # changes of the free memory do not change the passes.
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        free -= torch.cuda.memory_allocated(device)
        room = max(1, int(free / 2 / per_row))
        rows = min(int(CUDA_BUDGET / per_row), 1 << (room.bit_length() - 1))
    else:
        rows = _rows_on_cpu(per_row, torch.get_num_threads())
        if n_repeats > 1:  # the budget is not sharp, and one example more saves a pass
            rows = max(rows, int(_SPARE * rows) // n_repeats * n_repeats)
    rows = min(max(rows, 1), MAXIMUM_ROWS)
    return rows if max_rows is None else min(rows, max_rows)


@functools.lru_cache(maxsize=256)
def _rows_on_cpu(bytes_per_row: float, threads: int) -> int:
    budget = CPU_BUDGET * min(threads, CPU_THREADS)
    least = max(min(rows, int(limit / bytes_per_row)) for rows, limit in CPU_ROWS)
    return max(int(budget / bytes_per_row), least)


def memory_of_host() -> float:
    """Return the bytes of memory of this machine, infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def check_fits(name: str, value: int, n_bytes: float) -> None:
    """Raise ``ValueError`` if a number asks for more than half of the machine's memory."""
    room = memory_of_host() / 2
    if n_bytes > room:
        raise ValueError(
            f"{name} must fit into memory, of which {room / 1e9:.3g} GB may be used, got {value}, "
            f"which takes about {n_bytes / 1e9:.3g} GB"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether ``error`` says that memory ran out, on whatever device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return any(sign.lower() in text for sign in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    # cuDNN and cuBLAS say so where they find no room for their workspace.
    "unable to find an engine",
    "unable to find a valid cudnn algorithm",
    "CUBLAS_STATUS_NOT_INITIALIZED",
)


class Schedule:
    """Cut ``n_examples`` x ``n_repeats`` rows into passes of at most ``rows`` rows.

    A pass holds whole examples where one fits, else a run of repeats of one example. `halve` takes
    the last pass back, to be cut finer.
    """

    def __init__(
        self, n_examples: int, n_repeats: int, rows: int, whole_batch: bool = False
    ) -> None:
        self.n_examples, self.n_repeats = n_examples, n_repeats
        self.planned = self.rows = rows
        self.whole_batch = whole_batch
        self._example = self._repeat = 0
        self._last = (0, 0)
        self._good, self._patience, self._just_grown = 0, _PATIENCE, False

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Yield the examples and the repeats of each pass."""
        while self._example < self.n_examples and self._repeat < self.n_repeats:
            if self.rows < self.planned and self._good >= self._patience:
                self.rows = min(self.planned, 2 * self.rows)
                self._good, self._just_grown = 0, True
            self._last = (self._example, self._repeat)
            yield self._whole_pass() if self.whole_batch else self._next_pass()

    def start_at(self, rows: int) -> None:
        """Begin with passes of at most so many rows, as if memory had run out above them."""
        if not self.whole_batch:
            self.rows = min(self.rows, rows)

    def succeeded(self) -> None:
        """Note that the last pass went well."""
        self._good += 1
        self._just_grown = False

    def halve(self, rows: int) -> bool:
        """Take back the last pass, of ``rows`` rows; False if it cannot be cut finer."""
        if self.whole_batch or rows <= 1:
            return False
        if self._just_grown:
            self._patience *= 2
        self.rows = max(1, rows // 2)
        self._example, self._repeat = self._last
        self._good, self._just_grown = 0, False
        return True

    def _next_pass(self) -> tuple[slice, slice]:
        example, repeat = self._example, self._repeat
        if repeat == 0 and self.rows >= self.n_repeats:
            count = even(self.n_examples - example, self.rows // self.n_repeats)
            self._example += count
            return slice(example, example + count), slice(0, self.n_repeats)
        count = even(self.n_repeats - repeat, self.rows)
        self._repeat += count
        if self._repeat == self.n_repeats:
            self._example, self._repeat = example + 1, 0
        return slice(example, example + 1), slice(repeat, repeat + count)

    def _whole_pass(self) -> tuple[slice, slice]:
        repeat = self._repeat
        self._repeat += 1
        return slice(0, self.n_examples), slice(repeat, repeat + 1)


def even(total: int, at_most: int) -> int:
    """Return the size of the next of the fewest parts of ``total``, all of nearly one size."""
    if total <= at_most:
        return total
    return math.ceil(total / math.ceil(total / max(1, at_most)))
