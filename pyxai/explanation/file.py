"""How a result is kept: tensors as safetensors, everything else as JSON in the header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyxai._files import check_format, decode, encode, malformed, read_tensors, write_tensors
from pyxai.runner.arguments import Shared

__all__ = ["load", "save"]

T = TypeVar("T")
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


def load(
    path: Path,
    device: torch.device,
    build: Callable[[dict[str, Any]], T],
    kind: str = "explanation",
) -> T:
    """Return what ``build`` makes of the fields of a result of some kind in the file ``path``.

    Whatever does not fit, here or in ``build``, is a ``ValueError`` that names the file.
    """
    tensors, header = read_tensors(path, kind=kind, device=device)

    def other(kind: str, content: Any) -> Any:
        if kind == "shared":
            return Shared(decode(content, tensors, other))
        if kind == "text" and isinstance(content, str):
            return content
        raise ValueError(f"a value must be of a known kind, got {kind!r}")

    with malformed(path):
        check_format(header, FORMAT)
        fields = decode(header["fields"], tensors, other)
        if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
            raise ValueError("its fields must have names")
        return build(fields)
