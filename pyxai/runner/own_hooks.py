"""Hooks of ours on a user's module, which other threads may be running and tracing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["OwnHook"]


class OwnHook:
    """A hook that answers to one thread, inside a block; else it does nothing.

    Who reads hooks to know what a model computes may pass over it.

    Parameters
    ----------
    answer : callable
        What a hook is given, as torch gives it.
    """

    def __init__(self, answer: Callable[..., Any]) -> None:
        self._answer = answer
        self._thread: int | None = None

    def __call__(self, *args: Any) -> Any:
        """Answer, where it is for this run."""
        return self._answer(*args) if threading.get_ident() == self._thread else None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answer inside the block to what this thread runs."""
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
