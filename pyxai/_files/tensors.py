"""Files of the package: tensors as safetensors, everything else as JSON in the header.

`write_tensors` and `read_tensors` are the file, `values` makes its two parts of nested values.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from pyxai._files.values import malformed
from pyxai._files.whole import whole_file

__all__ = ["bytes_of", "read_tensors", "write_tensors"]

_CHECKSUM = "pyxai.checksum"
# The format's names.
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


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
    ValueError
        If ``path`` is something else than a regular file.
    TypeError
        If a tensor has a dtype that the format lacks.
    OSError
        If the disk is full.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise TypeError(f"{name} must have a dtype that files have, got {tensor.dtype}")
    # Wide numbers first, so that all of them are aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    text, places, end = json.dumps(header), {}, 0
    checksum = _Checksum.of(kind, text)
    for name in order:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        places[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": shape,
            "data_offsets": [start, end],
        }
        checksum.add(name, tensor)
    metadata = {f"pyxai.{kind}": text, _CHECKSUM: checksum.text}
    head = json.dumps({"__metadata__": metadata, **places}).encode()
    head += b" " * (-len(head) % 8)
    with whole_file(path) as file:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for name in order:
            file.write(bytes_of(tensors[name]))
    return path


def read_tensors(
    path: Path, *, kind: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote.

    The file is read once, so that tensors and header are those of one writing, and stay as they
    are when the file changes.

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
        If it is no safetensors file, one of another kind, or not as it was written.
    """
    if not path.is_file():
        article = "an" if kind[0] in "aeiou" else "a"
        raise FileNotFoundError(f"path must be the file of {article} {kind}, got {str(path)!r}")
    data = path.read_bytes()
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        text = metadata.get(f"pyxai.{kind}")
        header = None if text is None else json.loads(text)
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(
            f"path must hold a safetensors file, got {str(path)!r}: {error}"
        ) from error
    if header is None:
        raise ValueError(f"path must be written by {kind.capitalize()}.save, got {str(path)!r}")
    with malformed(path):
        checksum = _Checksum.of(kind, text)
        for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
            checksum.add(name, tensors[name])
        # Files of earlier versions have none.
        if metadata.get(_CHECKSUM, checksum.text) != checksum.text:
            raise ValueError("its content is not that of its checksum")
        if not isinstance(header, dict):
            raise ValueError(f"its header must be a table, got {type(header).__name__}")
    return {name: tensor.to(device) for name, tensor in tensors.items()}, header


class _Checksum(NamedTuple):
    """What says whether header and tensors are those that were written."""

    state: Any

    @classmethod
    def of(cls, kind: str, text: str) -> _Checksum:
        made = cls(hashlib.blake2b(digest_size=16))
        made._add(kind)
        made._add(text)
        return made

    def add(self, name: str, tensor: Tensor) -> None:
        self._add(f"{name} {_DTYPES.get(tensor.dtype)} {list(tensor.shape)}")
        self.state.update(bytes_of(tensor))

    def _add(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.state.update(len(data).to_bytes(8, "little") + data)

    @property
    def text(self) -> str:
        return str(self.state.hexdigest())


def bytes_of(tensor: Tensor) -> memoryview:
    """Return the numbers of a tensor as they lie in memory, row by row."""
    whole = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    # Of a single number any stride is contiguous to torch, and no other dtype is a view of it.
    return whole.as_strided((whole.numel(),), (1,)).view(torch.uint8).numpy().data
