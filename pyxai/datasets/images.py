"""Images with labels: those that ship with scikit-learn, and readers of the files of MNIST."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_finite, check_real, check_tensor
from pyxai._extras import optional

__all__ = ["check_images", "digits", "fashion_mnist", "mnist"]


def check_images(name: str, images: Tensor) -> None:
    """Raise unless there are images [rows, channels, height, width] of finite numbers."""
    check_real(name, check_tensor(name, images))
    if images.dim() != 4 or not images.numel():
        raise ValueError(
            f"{name} must have shape [rows, channels, height, width], got {list(images.shape)}"
        )
    check_finite(name, images)


def digits() -> tuple[Tensor, Tensor]:
    """Return the 1797 handwritten digits of 8 x 8 pixels that ship with scikit-learn.

    Returns
    -------
    images : Tensor, shape [1797, 1, 8, 8]
        float32, ink from 0 to 1.
    labels : Tensor, shape [1797]
        int64 from 0 to 9.

    Raises
    ------
    ImportError
        If scikit-learn is not installed (the extra ``imputers``).
    """
    with optional("digits need", "scikit-learn>=1.6", "imputers"):
        from sklearn.datasets import load_digits
    raw = load_digits()
    images = torch.tensor(raw.images, dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(raw.target).long()


def mnist(folder: str | os.PathLike[str], *, train: bool = True) -> tuple[Tensor, Tensor]:
    """Read the handwritten digits of MNIST from its files.

    Parameters
    ----------
    folder : str or path
        Where ``train-images-idx3-ubyte`` and the three others lie, as they are or with ``.gz``.
    train : bool
        The 60,000 training images, or the 10,000 test images.

    Returns
    -------
    images : Tensor, shape [rows, 1, 28, 28]
        float32 from 0 to 1.
    labels : Tensor, shape [rows]
        int64 from 0 to 9.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is of another form.

    References
    ----------
    .. [1] Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    start = "train" if check_bool("train", train) else "t10k"
    images = _read_idx(Path(folder) / f"{start}-images-idx3-ubyte", 3)
    labels = _read_idx(Path(folder) / f"{start}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ValueError(
            f"folder must hold as many labels as images, got {len(labels)} for {len(images)} images"
        )
    return images.float().unsqueeze(1) / 255, labels.long()


def fashion_mnist(folder: str | os.PathLike[str], *, train: bool = True) -> tuple[Tensor, Tensor]:
    """Read the garments of Fashion-MNIST from its files; see `mnist`.

    They have the names and the form of those of MNIST.

    References
    ----------
    .. [1] H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
       Machine Learning Algorithms", 2017.
    """
    return mnist(folder, train=train)


def _read_idx(path: Path, dims: int) -> Tensor:
    """Return the bytes of an idx file: two zeros, a code of the type, sizes, values."""
    packed = path.with_name(f"{path.name}.gz")
    if path.is_file():
        raw = path.read_bytes()
    elif packed.is_file():
        raw = gzip.decompress(packed.read_bytes())
    else:
        raise FileNotFoundError(
            f"folder must hold {path.name} or {packed.name}, got {str(path.parent)!r}"
        )
    if raw[:4] != bytes([0, 0, 8, dims]):
        raise ValueError(
            f"{path.name} must be an idx file of bytes in {dims} dimension(s), got {list(raw[:4])} "
            "as its first bytes"
        )
    start = 4 + 4 * dims
    sizes = [int.from_bytes(raw[4 + 4 * at : 8 + 4 * at], "big") for at in range(dims)]
    if len(raw) - start != math.prod(sizes):
        raise ValueError(
            f"{path.name} must hold {math.prod(sizes)} values for sizes {sizes}, "
            f"got {len(raw) - start}"
        )
    return torch.frombuffer(bytearray(raw[start:]), dtype=torch.uint8).view(sizes)
