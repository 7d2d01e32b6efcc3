"""Files that the package writes and reads. May import torch alone. Start with `tensors`."""

from __future__ import annotations

from pyxai._files.imported import imported
from pyxai._files.tensors import bytes_of, read_tensors, write_tensors
from pyxai._files.values import check_fields, check_format, decode, encode, malformed
from pyxai._files.whole import check_target, remove_left, whole_file, whole_folder

__all__ = [
    "bytes_of",
    "check_fields",
    "check_format",
    "check_target",
    "decode",
    "encode",
    "imported",
    "malformed",
    "read_tensors",
    "remove_left",
    "whole_file",
    "whole_folder",
    "write_tensors",
]
