"""Which rows the fourteen methods are shown on, and the few parts that these are cut into."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.demo.tasks import Task

__all__ = ["digit_patches", "example", "tumour_properties"]


def digit_patches() -> tuple[Tensor, tuple[str, ...]]:
    """Return eight patches of an 8 x 8 image, int64 [1, 1, 8, 8], and their names."""
    place = torch.arange(8)
    mask = (place * 4 // 8)[:, None] * 2 + (place * 2 // 8)
    names = tuple(f"{side} {row}" for row in range(1, 5) for side in ("left", "right"))
    return mask[None, None], names


def tumour_properties() -> tuple[Tensor, tuple[str, ...]]:
    """Return six properties of the 30 measurements, int64 [1, 30], and their names.

    The table holds mean, error and worst of ten, of which some say nearly the same.
    """
    kinds = torch.tensor([0, 1, 0, 0, 2, 3, 3, 3, 4, 5])
    names = ("size", "texture", "smoothness", "concavity", "symmetry", "fractal dim.")
    return kinds.repeat(3)[None], names


def example(task: Task) -> int:
    """Return a row that the model gets right: a 3 or a malignant tumour, if there is one."""
    right = (task.predictions == task.labels).nonzero()[:, 0]
    wanted = 3 if len(task.class_names) > 3 else 0
    chosen = right[task.labels[right] == wanted]
    return int(chosen[0] if len(chosen) else right[0] if len(right) else 0)
