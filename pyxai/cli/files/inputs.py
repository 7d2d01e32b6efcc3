"""Rows to explain out of files: each kind of file has a reader, by its suffix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from pyxai._checks import check_real
from pyxai._extras import optional
from pyxai.cli.files.models import unpickled
from pyxai.cli.files.tables import ANY, Columns, read_table
from pyxai.runner.arrays import tensor_of

__all__ = ["INPUTS", "TENSOR_FILES", "Reading", "Rows", "load_inputs", "load_rows", "load_tensor"]

TENSOR_FILES = (".npy", ".npz", ".pt", ".pth", ".safetensors")


class Rows(NamedTuple):
    """What a file holds."""

    values: Tensor
    """[batch, *features], of a floating dtype."""
    names: list[str] | None
    """Of the columns of a table."""


@dataclass(frozen=True)
class Reading:
    """How files are read.

    ``columns`` are those of a table that are wanted, ``channels`` those of a picture that the
    model takes, if it is known, and ``trust`` is whether to unpickle what may run code.
    """

    columns: Columns = ANY
    channels: int | None = None
    trust: bool = False


def load_rows(path: Path, name: str = "inputs", reading: Reading | None = None) -> Rows:
    """Read rows from a tensor, a table or a picture.

    Pictures are [1, channels, height, width], from 0 to 1: grey ones of one channel for a model
    that takes one, and else of red, green and blue.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError, TypeError
        If it is something else, or no numbers.
    """
    read = READERS.get(path.suffix.lower())
    _check_file(path, name)
    if read is None:
        raise ValueError(f"{name} must be a file of one of {INPUTS}, got {str(path)!r}")
    values, names = read(path, name, reading or Reading())
    if values.dim() == 0 or values.numel() == 0:
        raise ValueError(f"{name} must hold numbers, got shape {list(values.shape)}")
    return Rows(values if values.is_floating_point() else values.float(), names)


def load_inputs(path: Path, name: str = "inputs") -> Tensor:
    """Read one floating tensor; integers are converted."""
    return load_rows(path, name).values


def load_tensor(path: Path, name: str, trust: bool) -> Tensor:
    """Read one tensor, of whole numbers too."""
    _check_file(path, name)
    try:
        found = _content(path, trust)
    except MemoryError:
        raise
    except Exception as error:  # whatever a file that is something else leads to
        said = " ".join(str(error).split())[:300] or type(error).__name__
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


def _check_file(path: Path, name: str) -> None:
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{name} must be a file, got {str(path)!r}: {why}")


def _content(path: Path, trust: bool) -> Any:
    """Return a tensor, an array, or several of them by name."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        with path.open("rb") as file:  # which NumPy leaves open where it fails
            found = np.load(file, allow_pickle=trust)
            return dict(found) if suffix == ".npz" else found
    if suffix == ".safetensors":
        return safetensors.torch.load(path.read_bytes())
    return unpickled(path, trust)


def _read_tensor(path: Path, name: str, reading: Reading) -> Rows:
    tensor = load_tensor(path, name, reading.trust)
    check_real(name, tensor)
    return Rows(tensor, None)


def _read_table(path: Path, name: str, reading: Reading) -> Rows:
    table, names = read_table(path, name, reading.columns)
    return Rows(tensor_of(name, table), names)


def _read_picture(path: Path, name: str, reading: Reading) -> Rows:
    with optional("pictures need", "pillow>=10", "metrics"):
        from PIL import Image, ImageOps
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)  # cameras lay them on their side
            picture.load()
    except OSError as error:
        raise ValueError(f"{name} must be a picture, got {str(path)!r}: {error}") from error
    if picture.mode[0] in "IF":
        raise ValueError(
            f"{name} must be a picture of 8 bits for each channel, got mode {picture.mode} in "
            f"{str(path)!r}"
        )
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        grey = picture.mode == "LA"
        picture = Image.alpha_composite(white, layer).convert("L" if grey else "RGB")
    grey = reading.channels == 1 and picture.mode in ("L", "1")
    pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    pixels = pixels[None] if grey else pixels.transpose(2, 0, 1)
    return Rows(torch.tensor(pixels)[None].float() / 255, None)


Reader = Callable[[Path, str, Reading], Rows]
READERS: dict[str, Reader] = {
    **dict.fromkeys(TENSOR_FILES, _read_tensor),
    **dict.fromkeys((".csv", ".tsv", ".parquet"), _read_table),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), _read_picture),
}
INPUTS = ", ".join(READERS)
