"""The package's own operations: checked wrappers of native kernels beside plain references."""

from __future__ import annotations

from pyxai.ops.masks import pack_masks, unpack_masks
from pyxai.ops.path_accumulate import path_accumulate, path_accumulate_reference

__all__ = [
    "pack_masks",
    "path_accumulate",
    "path_accumulate_reference",
    "unpack_masks",
]
