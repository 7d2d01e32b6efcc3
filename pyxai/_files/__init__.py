"""Files that the package writes and reads. May import torch alone. Start with `tensors`."""

from __future__ import annotations

from pyxai._files.tensors import decode, encode, read_tensors, write_tensors

__all__ = ["decode", "encode", "read_tensors", "write_tensors"]
