"""Nested values as JSON and tensors, and back; what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["check_fields", "check_format", "decode", "encode", "malformed"]


def encode(
    value: Any, name: str, tensors: dict[str, Tensor], other: Callable[[Any, str], Any]
) -> Any:
    """Turn a nested value into JSON.

    Parameters
    ----------
    value : Any
        Numbers, strings, tensors, arrays of numbers, and tuples, lists and dicts of these.
    name : str
        Under which its tensors, or those within it, are added to ``tensors``; where the name is
        taken, a number is added to it.
    tensors : dict of str to Tensor
        Where tensors go: dense, without lazy conjugation.
    other : callable
        ``other(value, name)`` encodes whatever else is met, as a dict of one key.

    Returns
    -------
    JSON value
        What `decode` reads.

    Raises
    ------
    TypeError
        If a tensor is not dense and of plain numbers, or an array is not one of numbers; the
        message names where.
    """

    def inner(part: Any, place: str) -> Any:
        return encode(part, place, tensors, other)

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        return _tensor(value, name, tensors)
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, np.generic):
        # Dates have an item that is a number or no item at all.
        plain = value.dtype.kind in "biufcU"
        return inner(value.item(), name) if plain else other(value, name)
    if isinstance(value, np.ndarray):
        return inner(_from_array(value, name), name)
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [inner(part, f"{name}.{at}") for at, part in enumerate(value)]}
    if isinstance(value, dict):
        start = f"{name}." if name else ""
        return {
            "dict": [
                [inner(key, f"{start}{key}"), inner(part, f"{start}{key}")]
                for key, part in value.items()
            ]
        }
    return other(value, name)


def decode(value: Any, tensors: dict[str, Tensor], other: Callable[[str, Any], Any]) -> Any:
    """Undo `encode`; ``other(kind, content)`` reads what its ``other`` made.

    Raises
    ------
    ValueError
        If it is not what `encode` makes.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"a value must be plain or have one kind, got {_short(value)}")
    ((kind, content),) = value.items()
    if kind in ("tensor", "complex tensor"):
        if not isinstance(content, str) or content not in tensors:
            raise ValueError(f"a tensor must be one of the file's, got {_short(content)}")
        found = tensors[content]
        return torch.view_as_complex(found) if kind == "complex tensor" else found
    if kind == "complex":
        return complex(*_list(content, 2))
    if kind == "dict":
        pairs = [_list(pair, 2) for pair in _list(content)]
        return {_key(decode(key, tensors, other)): decode(v, tensors, other) for key, v in pairs}
    if kind in ("tuple", "list"):
        parts = [decode(part, tensors, other) for part in _list(content)]
        return tuple(parts) if kind == "tuple" else parts
    return other(kind, content)


def check_format(header: dict[str, Any], known: int) -> None:
    """Raise unless a header has the layout that this version reads."""
    if type(header.get("format")) is not int or header["format"] != known:
        raise ValueError(f"its layout must be format {known}, got {_short(header.get('format'))}")
    if "fields" not in header:
        raise ValueError("its header must have fields, got none")


def check_fields(fields: Any, kinds: dict[str, Any]) -> None:
    """Raise unless a dict has exactly these fields, each of its type or one of its types."""
    if not isinstance(fields, dict) or set(fields) != set(kinds):
        found = ", ".join(map(str, fields)) if isinstance(fields, dict) else _short(fields)
        raise ValueError(f"its fields must be {', '.join(kinds)}, got {_short(found)}")
    for name, kind in kinds.items():
        value, allowed = fields[name], kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            wanted = " or ".join(each.__name__ for each in allowed)
            raise ValueError(f"{name} must be of type {wanted}, got {_short(value)}")


@contextmanager
def malformed(path: Path) -> Iterator[None]:
    """Turn what building an object out of a file raises into one error that names the file.

    The content is of whoever wrote the file, so that any of these says that it is malformed.
    """
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        RuntimeError,  # of torch: shapes, state dicts
        TypeError,
        ValueError,
    ) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        if said.startswith("path must"):
            raise ValueError(f"{said}, in {str(path)!r}") from error
        raise ValueError(f"path must hold a whole file, got {str(path)!r}: {said}") from error


def _tensor(value: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    if value.layout != torch.strided or value.is_nested or value.is_quantized or value.is_meta:
        kind = "quantised" if value.is_quantized else "meta" if value.is_meta else value.layout
        kind = "nested" if value.is_nested else kind
        raise TypeError(f"{name} must be a dense tensor of numbers to be saved, got a {kind} one")
    own = value.detach().resolve_conj().resolve_neg()
    kind = "tensor"
    if own.is_complex():
        kind, own = "complex tensor", torch.view_as_real(own)
    free, count = name, 1
    while free in tensors or free == "__metadata__":
        count += 1
        free = f"{name}#{count}"
    tensors[free] = own
    return {kind: free}


def _from_array(value: np.ndarray[Any, Any], name: str) -> Tensor:
    """Return an array as a tensor: of any byte order and strides, also without axes."""
    native = value.astype(value.dtype.newbyteorder("="), order="C", copy=True)
    try:
        return torch.from_numpy(native)
    except TypeError:
        raise TypeError(
            f"{name} must be an array of numbers to be saved, got dtype {value.dtype}"
        ) from None


def _list(value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        wanted = "a list" if length is None else f"a list of {length}"
        raise ValueError(f"a value must have {wanted}, got {_short(value)}")
    return value


def _key(value: Any) -> Hashable:
    if not isinstance(value, Hashable) or isinstance(value, Tensor):
        raise ValueError(f"a key must be plain, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
