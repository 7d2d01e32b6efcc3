"""Read models and inputs from files, and models from Python code."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from pyxai._checks import check_real
from pyxai._extras import optional
from pyxai._files import imported
from pyxai.runner.arrays import column_names, tensor_of

__all__ = [
    "INPUT_FILES",
    "TENSOR_FILES",
    "is_place",
    "load_inputs",
    "load_model",
    "load_rows",
    "load_tensor",
]

TENSOR_FILES = (".npy", ".npz", ".pt", ".safetensors")
_TABLES = (".csv", ".parquet")
_PICTURES = (".png", ".jpg", ".jpeg")
INPUT_FILES = (*TENSOR_FILES, *_TABLES, *_PICTURES)


def is_place(text: str) -> bool:
    """Tell whether a model is given as module:function, which may lie in the folder one is in."""
    found = ":" in text and not Path(text).exists()
    if found and "" not in sys.path:
        sys.path.insert(0, "")  # as for python -m
    return found


def load_model(place: str | Path) -> Any:
    """Read an exported program or a TorchScript file, or import what makes one; this runs code."""
    if is_place(str(place)):
        return imported(str(place))
    path = Path(place)
    if not path.is_file():
        raise FileNotFoundError(
            f"model must be a file that is there, or module:function, got {str(place)!r}"
        )
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


def load_rows(path: Path) -> tuple[Tensor, list[str] | None]:
    """Read inputs, also from a table, with the names of its columns, or from a picture.

    Pictures are [1, 3, height, width], from 0 to 1.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_TABLES, *_PICTURES):
        try:
            return load_inputs(path), None
        except ValueError as error:
            if suffix in TENSOR_FILES:
                raise
            raise ValueError(f"{error}; what is read: {', '.join(INPUT_FILES)}") from error
    if not path.is_file():
        raise FileNotFoundError(f"inputs must be a file, got {str(path)!r}")
    if suffix in _PICTURES:
        return _picture(path), None
    table = _table(path)
    rows = tensor_of("inputs", table)
    if rows.numel() == 0:
        raise ValueError(f"inputs must hold numbers, got shape {list(rows.shape)}")
    return rows if rows.is_floating_point() else rows.float(), column_names(table)


def _table(path: Path) -> Any:
    with optional("tables need", "pandas>=2", "audit"):
        import pandas
    read = pandas.read_csv if path.suffix.lower() == ".csv" else pandas.read_parquet
    try:
        return read(path)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # whatever a file that is something else leads to
        raise ValueError(f"inputs must be a table, got {str(path)!r}: {error}") from error


def _picture(path: Path) -> Tensor:
    with optional("pictures need", "pillow>=10", "metrics"):
        from PIL import Image
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise ValueError(f"inputs must be a picture, got {str(path)!r}: {error}") from error
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255


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
