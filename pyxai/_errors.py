"""Error and warning classes of the package."""

from __future__ import annotations

__all__ = ["BackendUnavailableError", "PyxaiWarning", "UnsupportedOperationError"]


class BackendUnavailableError(RuntimeError):
    """A kernel backend was asked for that this build does not contain."""


class UnsupportedOperationError(NotImplementedError):
    """A method met an operation of the model that it has no rule for."""


class PyxaiWarning(UserWarning):
    """Base class of the warnings that the package emits."""
