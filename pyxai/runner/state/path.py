"""Which way a method evaluated the model, said by who evaluates to who returns the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["DIRECT", "PathNotes", "note_path", "path_noted"]

DIRECT = "direct"

PathNotes = list[str]

_notes: ContextVar[PathNotes | None] = ContextVar("pyxai_path", default=None)


def note_path(name: str) -> None:
    """Say that rows were evaluated by a fast path, to the block of `path_noted` that is open."""
    notes = _notes.get()
    if notes is not None and name not in notes:
        notes.append(name)


@contextmanager
def path_noted() -> Iterator[PathNotes]:
    """Collect the names of the fast paths that a block takes; those around it hear of them too."""
    notes: PathNotes = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
        for name in notes:
            note_path(name)
