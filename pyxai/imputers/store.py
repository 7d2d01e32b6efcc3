"""How an imputer is kept: its class by name, its tensors as safetensors, the rest as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from pyxai._checks import describe
from pyxai._files import decode, encode, read_tensors, write_tensors

__all__ = ["read", "write"]

FORMAT = 1  # raised when the layout changes, so that an old reader can say so


def write(name: str, fields: dict[str, Any], path: Path) -> Path:
    """Write what an imputer of a named class of `pyxai.imputers` is made of."""
    tensors: dict[str, Tensor] = {}

    def other(value: Any, place: str) -> Any:
        raise TypeError(
            f"imputer must hold numbers, text and tensors to be saved, got {describe(value)} "
            f"in {place!r} of {name}"
        )

    header = {"format": FORMAT, "class": name, "fields": encode(fields, "", tensors, other)}
    return write_tensors(path, tensors, kind="imputer", header=header)


def read(path: Path, known: type) -> tuple[Any, dict[str, Any]]:
    """Return the class of an imputer and what one is made of; nothing in the file is run.

    The class is ``known`` or one that derives from it, by name.
    """
    tensors, header = read_tensors(path, kind="imputer")
    if header["format"] != FORMAT:
        raise ValueError(f"path must hold format {FORMAT}, got format {header['format']}")
    classes = {found.__name__: found for found in _kinds(known)}
    if header["class"] not in classes:
        raise ValueError(f"path must hold {known.__name__}, got {header['class']}")

    def other(kind: str, content: Any) -> Any:
        raise ValueError(f"path must hold numbers, text and tensors, got {kind!r}")

    return classes[header["class"]], decode(header["fields"], tensors, other)


def _kinds(root: type) -> Iterator[type]:
    yield root
    derived: type
    for derived in root.__subclasses__():
        yield from _kinds(derived)
