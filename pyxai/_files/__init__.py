"""Files that the package writes and reads. May import torch alone. Start with `tensors`."""

from __future__ import annotations

from pyxai._files.tensors import read_tensors, write_tensors
from pyxai._files.values import check_fields, check_format, decode, encode, malformed
from pyxai._files.whole import check_target, remove_left, whole_file

__all__ = [
    "check_fields",
    "check_format",
    "check_target",
    "decode",
    "encode",
    "malformed",
    "read_tensors",
    "remove_left",
    "whole_file",
    "write_tensors",
]
