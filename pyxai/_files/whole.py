"""Files that are written whole or not at all: every file of the package goes through here."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["check_target", "remove_left", "whole_file", "whole_folder"]

_END = ".partial"
_NAME = 40  # characters of the file's own name in that of the partial one: names have a limit

_FOLDERS = 64  # that are remembered
_not_before: dict[Path, float] = {}  # when to look into a folder again
# Absent on Windows, where nobody can remove a file that is open.
fcntl: Any
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:
    fcntl = None


def check_target(path: Path, name: str = "path") -> Path:
    """Return where a file would be written: ``path``, or what it links to.

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    ValueError
        If there is something else than a regular file: a folder, a pipe, a device.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{name} must be in a folder that exists, got {str(path)!r}")
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "a pipe, a socket or a device"
        raise ValueError(f"{name} must be a regular file or a new one, got {kind}: {str(path)!r}")
    return target


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a binary file that takes the place of ``path`` when the block ends without an error.

    Until then ``path`` is as it was; a reader sees the old file or the new one, whole, also after
    the machine lost its power. A file that is replaced hands on its mode, and a link stays one.
    What processes that were killed have left beside ``path`` is removed.

    Raises
    ------
    FileNotFoundError, ValueError
        As `check_target`.
    OSError
        If the disk is full, say.
    """
    target = check_target(path)
    start = f".{target.name[:_NAME]}."
    file, partial = _new_partial(target.parent, start)
    try:
        with file:
            with suppress(FileNotFoundError):  # a new file has the mode of any new file
                os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())  # the name must not be on the disk before what it names
            if fcntl is not None:  # while it is locked, so that nobody takes it for a left one
                partial.replace(target)
        if fcntl is None:
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    _remove_left_at_times(target.parent, start)


@contextmanager
def whole_folder(path: Path, name: str = "path") -> Iterator[Path]:
    """Give a new folder that becomes ``path`` when the block ends without an error.

    One that a killed process leaves has a name that begins with a dot and ends with ``.partial``.

    Raises
    ------
    FileNotFoundError
        If the folder that it is to be in does not exist.
    ValueError
        If there is something at ``path``.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"{name} must be in a folder that exists, got {str(path)!r}")
    if path.exists():
        raise ValueError(f"{name} must be a new folder, got one that exists: {str(path)!r}")
    partial = path.absolute().parent / f".{path.name[:_NAME]}.{secrets.token_hex(8)}{_END}"
    partial.mkdir()
    try:
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _new_partial(folder: Path, start: str) -> tuple[BinaryIO, Path]:
    """Return a new file, locked, and where it is; no other thread or process has its name."""
    while True:
        partial = folder / f"{start}{secrets.token_hex(8)}{_END}"
        try:
            file = partial.open("xb")
        except FileExistsError:
            continue
        _lock(file, wait=True)
        if partial.exists():  # nobody removed it before it was locked
            return file, partial
        file.close()


def remove_left(folder: Path, start: str = ".") -> None:
    """Remove the partial files of a folder that nobody holds a lock on: their writers are gone."""
    if fcntl is None:
        return
    for name in os.listdir(folder):
        if not (name.startswith(start) and name.endswith(_END)):
            continue
        partial = folder / name
        with suppress(OSError):  # it is in use, or was done with meanwhile
            if partial.is_symlink() or not partial.is_file():
                continue
            with partial.open("rb") as file:
                if _lock(file, wait=False):
                    partial.unlink()


def _remove_left_at_times(folder: Path, start: str) -> None:
    """Do so unless it was done of late: a folder of thousands of files takes long to list."""
    begin = time.monotonic()
    if begin < _not_before.get(folder, 0.0):
        return
    remove_left(folder, start)
    if len(_not_before) == _FOLDERS:
        _not_before.clear()
    end = time.monotonic()
    _not_before[folder] = end + 20 * (end - begin)  # a small part of saving them


def _lock(file: BinaryIO, *, wait: bool) -> bool:
    """Lock a file until it is closed and tell whether that went well; not every disk can."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
