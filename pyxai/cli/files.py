"""Read models and tensors from files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from pyxai._checks import check_real
from pyxai.runner.arrays import tensor_of

__all__ = ["TENSOR_FILES", "load_inputs", "load_model", "load_tensor"]

TENSOR_FILES = (".npy", ".npz", ".pt", ".safetensors")


def load_model(path: Path) -> Any:
    """Read an exported program or a TorchScript file; this runs its code."""
    if not path.is_file():
        raise FileNotFoundError(f"model must be a file, got {str(path)!r}")
    try:
        if path.suffix == ".pt2":
            return _exported(path)
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except MemoryError:
        raise
    except Exception as error:  # whatever a file that is something else leads to
        raise ValueError(
            "model must be an exported program (.pt2, from torch.export.save) or a TorchScript "
            f"file, got {str(path)!r}; torch.save keeps no program"
        ) from error


def load_inputs(path: Path, name: str = "inputs") -> Tensor:
    """Read one floating tensor; integers are converted."""
    tensor = load_tensor(path, name)
    check_real(name, tensor)
    if tensor.dim() == 0 or tensor.numel() == 0:
        raise ValueError(f"{name} must hold numbers, got shape {list(tensor.shape)}")
    return tensor if tensor.is_floating_point() else tensor.float()


def load_tensor(path: Path, name: str) -> Tensor:
    """Read one tensor; nothing that is unpickled is run."""
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, got {str(path)!r}")
    try:
        found = _read(path)
    except MemoryError:
        raise
    except Exception as error:  # whatever a file that is something else leads to
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{name} must be a file of one tensor, got {str(path)!r}: {said}"
        ) from error
    if isinstance(found, dict):
        if len(found) != 1:
            raise ValueError(
                f"{name} must hold one tensor, got {len(found)}: {', '.join(map(str, found))}"
            )
        (found,) = found.values()
    complex_numbers = isinstance(found, np.ndarray) and found.dtype.kind == "c"
    return torch.as_tensor(found) if complex_numbers else tensor_of(name, found)


def _exported(path: Path) -> Any:
    """Read an exported program; what torch logs of a file that is none is no message of ours."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive")
    return torch.export.load(str(path)).module()


def _read(path: Path) -> Any:
    """Return a tensor, an array, or several of them by name."""
    if path.suffix in (".npy", ".npz"):
        with path.open("rb") as file:  # which NumPy leaves open where it fails
            found = np.load(file, allow_pickle=False)
            return dict(found) if path.suffix == ".npz" else found
    if path.suffix == ".safetensors":
        return safetensors.torch.load(path.read_bytes())
    return torch.load(path, map_location="cpu", weights_only=True)
