"""Read models and tensors from files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pyxai._checks import check_real

__all__ = ["TENSOR_FILES", "load_inputs", "load_model", "load_tensor"]

TENSOR_FILES = (".npy", ".npz", ".pt", ".safetensors")


def load_model(path: Path) -> Any:
    """Read an exported program or a TorchScript file; this runs its code."""
    if not path.is_file():
        raise FileNotFoundError(f"model must be a file, got {str(path)!r}")
    if path.suffix == ".pt2":
        return torch.export.load(str(path)).module()
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ValueError(
            "model must be an exported program (.pt2, from torch.export.save) or a TorchScript "
            f"file, got {str(path)!r}; torch.save keeps no program"
        ) from error


def load_inputs(path: Path, name: str = "inputs") -> Tensor:
    """Read one floating tensor; integers are converted."""
    tensor = load_tensor(path, name)
    check_real(name, tensor)
    if tensor.numel() == 0:
        raise ValueError(f"{name} must hold numbers, got shape {list(tensor.shape)}")
    return tensor if tensor.is_floating_point() else tensor.float()


def load_tensor(path: Path, name: str) -> Tensor:
    """Read one tensor; nothing that is unpickled is run."""
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, got {str(path)!r}")
    found: Any
    if path.suffix in (".npy", ".npz"):
        found = np.load(path, allow_pickle=False)
        found = dict(found) if path.suffix == ".npz" else found
    elif path.suffix == ".safetensors":
        found = load_file(path)
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{name} must be a file of one tensor, got {str(path)!r}") from error
    if isinstance(found, dict):
        if len(found) != 1:
            raise ValueError(
                f"{name} must hold one tensor, got {len(found)}: {', '.join(map(str, found))}"
            )
        (found,) = found.values()
    return torch.as_tensor(found)
