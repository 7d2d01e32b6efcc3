"""Packages that only some parts need: without one, the error says how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["optional"]


@contextmanager
def optional(
    needed: str, package: str, extra: str | None = None, instead: str | None = None
) -> Iterator[None]:
    """Say how to get a package that is imported inside the block and is not there.

    Parameters
    ----------
    needed : str
        What needs it, with the verb: ``"plots need"``.
    package : str
        As ``pip install`` takes it, with a version where an older one would not do.
    extra : str, optional
        The optional group of pyproject.toml that holds it.
    instead : str, optional
        What to do without it.

    Raises
    ------
    ImportError
        If an import inside the block fails.
    """
    try:
        yield
    except ImportError as error:
        # This distribution may be on no index, so its extras are named in a checkout only. There
        # the build must see the torch that is installed: the kernels fit no other.
        checkout = f', or in a checkout of pyxai: pip install --no-build-isolation ".[{extra}]"'
        raise ImportError(
            f'{needed} {package}; install it with: pip install "{package}"'
            f"{checkout if extra else ''}{f'; or {instead}' if instead else ''}"
        ) from error
