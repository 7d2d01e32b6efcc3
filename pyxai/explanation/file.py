"""How a result is kept: tensors as safetensors, everything else as JSON in the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyxai._files import decode, encode, read_tensors, write_tensors
from pyxai.runner.arguments import Shared

__all__ = ["load", "save"]

FORMAT = 1  # raised when the layout changes, so that an old reader can say so


def save(fields: dict[str, Any], path: Path, kind: str = "explanation") -> Path:
    """Write the fields of a result of some kind to ``path``."""
    tensors: dict[str, Tensor] = {}

    def other(value: Any, name: str) -> Any:
        if isinstance(value, Shared):
            return {"shared": encode(value.value, f"{name}.value", tensors, other)}
        return {"text": repr(value)}

    header = {"format": FORMAT, "fields": encode(fields, "", tensors, other)}
    return write_tensors(path, tensors, kind=kind, header=header)


def load(path: Path, device: torch.device, kind: str = "explanation") -> dict[str, Any]:
    """Read the fields of a result of some kind from ``path``."""
    tensors, header = read_tensors(path, kind=kind, device=device)
    if header["format"] != FORMAT:
        raise ValueError(f"path must hold format {FORMAT}, got format {header['format']}")

    def other(kind: str, content: Any) -> Any:
        return Shared(decode(content, tensors, other)) if kind == "shared" else content

    decoded: dict[str, Any] = decode(header["fields"], tensors, other)
    return decoded
