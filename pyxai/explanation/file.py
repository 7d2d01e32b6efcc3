"""How a result is kept: tensors as safetensors, everything else as JSON in the header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyxai.runner.arguments import Shared

__all__ = ["load", "save"]

FORMAT = 1  # raised when the layout changes, so that an old reader can say so


def save(fields: dict[str, Any], path: Path, kind: str = "explanation") -> Path:
    """Write the fields of a result of some kind to ``path``."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in a folder that exists, got {str(path)!r}")
    tensors: dict[str, Tensor] = {}
    header = {"format": FORMAT, "fields": _encode(fields, "", tensors)}
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


def load(path: Path, device: torch.device, kind: str = "explanation") -> dict[str, Any]:
    """Read the fields of a result of some kind from ``path``."""
    if not path.is_file():
        raise FileNotFoundError(f"path must be the file of {_named(kind)}, got {str(path)!r}")
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
    if header["format"] != FORMAT:
        raise ValueError(f"path must hold format {FORMAT}, got format {header['format']}")
    decoded: dict[str, Any] = _decode(header["fields"], tensors)
    return decoded


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


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


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Turn a value into JSON; tensors go to ``tensors`` under their place's name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _encode(torch.from_numpy(np.ascontiguousarray(value)), name, tensors)
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        items = [_encode(part, f"{name}.{at}", tensors) for at, part in enumerate(value)]
        return {kind: items}
    if isinstance(value, dict):
        start = f"{name}." if name else ""
        pairs = [[key, _encode(part, f"{start}{key}", tensors)] for key, part in value.items()]
        return {"dict": pairs}
    if isinstance(value, Shared):
        return {"shared": _encode(value.value, f"{name}.value", tensors)}
    return {"text": repr(value)}


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(part, tensors) for key, part in content}
    if kind in ("tuple", "list"):
        parts = [_decode(part, tensors) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    return Shared(_decode(content, tensors)) if kind == "shared" else content
