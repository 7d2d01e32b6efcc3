"""Checks of numbers that are on a device: a look waits for it, so many are looked at together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from pyxai._checks import check_finite

__all__ = ["check_finite_later", "checked_at_the_end", "run_later"]

# Numbers that are kept for checks that have not run; with more, these run at once.
_MOST_KEPT = 2**24


class _Pending:
    """Checks that have not run, in order."""

    def __init__(self) -> None:
        self._checks: list[Callable[[], None]] = []
        self._ends: list[Tensor] = []  # taken at once, as whoever made the numbers may change them
        self._kept = 0

    def add(self, numbers: Sequence[Tensor], check: Callable[[], None]) -> None:
        """Take a check in."""
        self._checks.append(check)
        self._ends += [end.double() for each in numbers for end in _ends_of(each)]
        self._kept += sum(each.numel() for each in numbers)
        if self._kept > _MOST_KEPT:
            self.run()

    def run(self) -> None:
        """Run all checks, if one look at their numbers says that one would raise."""
        checks, ends = self._checks, self._ends
        self._checks, self._ends, self._kept = [], [], 0
        if not ends or bool(torch.stack(ends).isfinite().all()):
            return
        for check in checks:
            check()
        raise ValueError("numbers must be finite, got NaN or infinite ones, changed since")


_pending: ContextVar[_Pending | None] = ContextVar("pyxai_pending_checks", default=None)


@contextmanager
def checked_at_the_end() -> Iterator[None]:
    """Look after a block, for all that was put off in it, whether numbers are finite.

    Raises
    ------
    ValueError
        As without the block, the first that should have been raised; also in place of another
        error, which such numbers may have led to.
    """
    pending = _Pending()
    token = _pending.set(pending)
    try:
        try:
            yield
        finally:
            _pending.reset(token)
    except Exception:
        pending.run()
        raise
    pending.run()


def run_later(numbers: Sequence[Tensor], check: Callable[[], None]) -> None:
    """Run a check, in a block of `checked_at_the_end` at its end if it would wait for a device.

    Parameters
    ----------
    numbers : sequence of Tensor
        Real numbers, of which the first says where they all are.
    check : callable
        Raises only if one of the numbers is not finite.
    """
    pending = _pending.get()
    if pending is None or numbers[0].device.type == "cpu":
        check()
    else:
        pending.add(numbers, check)


def check_finite_later(name: str, value: Tensor) -> None:
    """Do what `check_finite` does, as `run_later` does."""
    run_later([value], lambda: check_finite(name, value))


def _ends_of(numbers: Tensor) -> Sequence[Tensor]:
    """Return finite numbers if all are finite."""
    if not numbers.is_floating_point() or not numbers.numel():
        return ()
    return numbers.detach().aminmax() if numbers.dim() else (numbers.detach(),)
