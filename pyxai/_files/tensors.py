"""Files of the package: tensors as safetensors, everything else as JSON in the header.

`write_tensors` and `read_tensors` are the file, `encode` and `decode` make its two parts of nested
values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["decode", "encode", "read_tensors", "write_tensors"]


def write_tensors(path: Path, tensors: dict[str, Tensor], *, kind: str, header: Any) -> Path:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    tensors : dict of str to Tensor
        They may share memory, and live anywhere.
    kind : str
        What is in it, in one word such as ``"explanation"``; `read_tensors` asks for it.
    header : JSON value
        Everything else.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in a folder that exists, got {str(path)!r}")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # The writer leaves its files to their owner alone; this one is to be as any new file.
        partial.touch()
        mode = partial.stat().st_mode & 0o777
        save_file(_separate(tensors), str(partial), metadata={f"pyxai.{kind}": json.dumps(header)})
        partial.chmod(mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_tensors(
    path: Path, *, kind: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        What must be in it.
    device : torch.device or str
        Where the tensors are to live.

    Returns
    -------
    tensors : dict of str to Tensor
    header : JSON value

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or one of another kind.
    """
    if not path.is_file():
        article = "an" if kind[0] in "aeiou" else "a"
        raise FileNotFoundError(f"path must be the file of {article} {kind}, got {str(path)!r}")
    try:
        with safe_open(str(path), framework="pt", device=str(device)) as file:
            header = json.loads((file.metadata() or {}).get(f"pyxai.{kind}", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"path must hold a safetensors file, got {str(path)!r}: {error}"
        ) from error
    if header is None:
        raise ValueError(f"path must be written by {kind.capitalize()}.save, got {str(path)!r}")
    return tensors, header


def encode(
    value: Any, name: str, tensors: dict[str, Tensor], other: Callable[[Any, str], Any]
) -> Any:
    """Turn a nested value into JSON.

    Parameters
    ----------
    value : Any
        Numbers, strings, tensors, arrays, and tuples, lists and dicts of these.
    name : str
        Under which its tensors, or those within it, are added to ``tensors``.
    tensors : dict of str to Tensor
        Where tensors go.
    other : callable
        ``other(value, name)`` encodes whatever else is met, as a dict of one key.

    Returns
    -------
    JSON value
        What `decode` reads.
    """

    def inner(part: Any, place: str) -> Any:
        return encode(part, place, tensors, other)

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return inner(torch.from_numpy(np.ascontiguousarray(value)), name)
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [inner(part, f"{name}.{at}") for at, part in enumerate(value)]}
    if isinstance(value, dict):
        start = f"{name}." if name else ""
        return {"dict": [[key, inner(part, f"{start}{key}")] for key, part in value.items()]}
    return other(value, name)


def decode(value: Any, tensors: dict[str, Tensor], other: Callable[[str, Any], Any]) -> Any:
    """Undo `encode`; ``other(kind, content)`` reads what its ``other`` made."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: decode(part, tensors, other) for key, part in content}
    if kind in ("tuple", "list"):
        parts = [decode(part, tensors, other) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    return other(kind, content)


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give every tensor memory of its own, as the format demands."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        own = tensor.detach().contiguous()
        pointer = own.untyped_storage().data_ptr()
        result[name] = own.clone() if pointer in seen else own
        seen.add(pointer)
    return result
