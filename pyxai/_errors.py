"""Error and warning classes of the package."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

__all__ = ["BackendUnavailableError", "PyxaiWarning", "UnsupportedOperationError", "warn"]

_PACKAGE = str(Path(__file__).resolve().parent) + os.sep


class BackendUnavailableError(RuntimeError):
    """A kernel backend was asked for that this build does not contain."""


class UnsupportedOperationError(NotImplementedError):
    """A method met an operation of the model that it has no rule for."""


class PyxaiWarning(UserWarning):
    """Base class of the warnings that the package emits."""


def warn(message: str) -> None:
    """Emit a `PyxaiWarning` that points at the user's line: the first one outside the package."""
    frame, level = sys._getframe(0), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, PyxaiWarning, stacklevel=level)
