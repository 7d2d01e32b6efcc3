"""What is said beside the results, on stderr: notes of the package, and progress."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyxai._errors import PyxaiWarning

__all__ = ["FIXED_SIZE", "notes_in_one_line", "progress_of_parts", "progress_shown", "tell"]

FIXED_SIZE = (
    "; the program was exported for batches of one size: export it with dynamic_shapes, or give "
    "--rows and --option internal_batch_size of that size"
)
_FIRST, _AGAIN = 1.0, 0.2  # seconds until progress is shown, and between two looks


def tell(text: str, quiet: bool) -> None:
    """Say something beside the result, unless quiet is wanted."""
    if not quiet:
        print(text, file=sys.stderr)


@contextmanager
def notes_in_one_line(command: str, quiet: bool) -> Iterator[None]:
    """Show warnings of the package as notes, without the place in the code that they came from."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, PyxaiWarning):
                shown(message, category, *place, **more)
            elif not quiet:
                print(f"pyxai {command}: note: {message}", file=sys.stderr)

        warnings.showwarning = show
        yield


def progress_of_parts(what: str, quiet: bool) -> Callable[[int, int], None] | None:
    """Return a function of (done, total) that counts parts, on a terminal alone."""
    if quiet or not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} {what}", end="\n" if done == total else "", file=sys.stderr)

    return show


@contextmanager
def progress_shown(what: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function of (done, total) that shows how far a long run is, to a terminal alone."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    after = time.monotonic() + _FIRST
    wrote = False

    def show(done: int, total: int) -> None:
        nonlocal after, wrote
        now = time.monotonic()
        if now < after:
            return
        after, wrote = now + _AGAIN, True
        sys.stderr.write(f"\r{what}: {done / max(total, 1):4.0%} \033[K")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if wrote:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
