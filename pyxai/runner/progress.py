"""Progress of a long run: a callback, or a bar that shows after two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pyxai._checks import describe
from pyxai._errors import warn

__all__ = ["Progress", "ProgressOption", "check_progress", "progress_to"]

ProgressOption = bool | Callable[[int, int], Any] | None

_DELAY_SECONDS = 2.0
_told: ContextVar[Callable[[int, int], Any] | None] = ContextVar("told", default=None)


def check_progress(name: str, progress: Any) -> ProgressOption:
    """Return ``progress`` if it is None, a bool or callable."""
    if progress is None or isinstance(progress, bool) or callable(progress):
        return progress  # type: ignore[no-any-return]
    raise TypeError(
        f"{name} must be True, False or a function of (done, total), got {describe(progress)}"
    )


@contextmanager
def progress_to(callback: Callable[[int, int], Any] | None) -> Iterator[None]:
    """Tell a function of (done, total) about each run in the block that tells nobody else.

    So methods without an argument for it show how far they are too; None tells nobody.
    """
    token = _told.set(callback)
    try:
        yield
    finally:
        _told.reset(token)


class Progress:
    """Tell how many of ``total`` rows are done; use as a context manager."""

    def __init__(self, option: ProgressOption, total: int) -> None:
        self._callback = option if callable(option) else None if option else _told.get()
        self._bar = _make_bar(total) if option is True else None
        self._total = total
        self._done = 0

    def advance(self, rows: int) -> None:
        """Count ``rows`` more rows as done."""
        self._done += rows
        if self._callback is not None:
            self._callback(self._done, self._total)
        if self._bar is not None:
            self._bar.update(rows)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _make_bar(total: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warn("a progress bar needs tqdm: pip install tqdm")
        return None
    return tqdm(total=total, unit="row", unit_scale=True, delay=_DELAY_SECONDS, leave=False)
