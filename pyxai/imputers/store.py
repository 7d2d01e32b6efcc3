"""How an imputer is kept: its class by name, its tensors as safetensors, the rest as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from pyxai._checks import describe
from pyxai._files import (
    check_format,
    decode,
    encode,
    malformed,
    read_tensors,
    write_tensors,
)

__all__ = ["read", "write"]

T = TypeVar("T")
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


def read(path: Path, known: type, build: Callable[[Any, dict[str, Any]], T]) -> T:
    """Return what ``build`` makes of a class of imputers and the fields in a file.

    The class is ``known`` or one that derives from it, by name; nothing in the file is run.
    Whatever does not fit, here or in ``build``, is a ``ValueError`` that names the file.
    """
    tensors, header = read_tensors(path, kind="imputer")

    def other(kind: str, content: Any) -> Any:
        raise ValueError(f"path must hold numbers, text and tensors, got {kind!r}")

    with malformed(path):
        check_format(header, FORMAT)
        classes = {found.__name__: found for found in _kinds(known)}
        made = header.get("class")
        if not isinstance(made, str) or made not in classes:
            raise ValueError(f"path must hold {known.__name__}, got {made}")
        fields = decode(header["fields"], tensors, other)
        for name in fields if isinstance(fields, dict) else [fields]:
            if not isinstance(name, str) or callable(getattr(classes[made], name, None)):
                raise ValueError(f"path must hold fields of {made}, got {describe(name)}")
        return build(classes[made], fields)


def _kinds(root: type) -> Iterator[type]:
    yield root
    derived: type
    for derived in root.__subclasses__():
        yield from _kinds(derived)
