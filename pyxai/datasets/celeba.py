"""Faces that smile or do not, and where their mouths are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyxai._checks import (
    check_choice,
    check_int,
    check_number,
    check_real,
    check_shape,
    check_tensor,
)
from pyxai._extras import optional

__all__ = ["CelebASmile", "mouth_box"]

_SPLITS = ("train", "validation", "test")
_SIZE = 128
_TOP, _LEFT = 45, 25  # of the crop, in the aligned images of 218 x 178
_MOUTH = ("leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y")


def mouth_box(
    corners: Tensor, size: int = _SIZE, *, length: float = 1.8, height: float = 1.0
) -> Tensor:
    """Return the rectangle along the mouth that counts as the truth of a smile.

    Parameters
    ----------
    corners : Tensor, shape [rows, 2, 2]
        The two corners of each mouth, x (column) and y (row) in pixels.
    size : int
        Height and width of the image.
    length : float
        Along the mouth, in distances d of its corners: 1.8 is 0.4 d beyond each.
    height : float
        Across the mouth, in d.

    Returns
    -------
    Tensor, shape [rows, 1, size, size]
        bool: pixels whose centre lies in the rectangle.

    Raises
    ------
    ValueError
        If a shape does not fit, a number is not positive, or two corners are one point.
    TypeError
        If ``corners`` is not a tensor.

    Examples
    --------
    >>> import torch
    >>> from pyxai.datasets import mouth_box
    >>> box = mouth_box(torch.tensor([[[10.0, 20.0], [20.0, 20.0]]]), 40)
    >>> box.sum() / 10**2  # in squared distances of the corners
    tensor(2.0900)
    """
    check_shape("corners", check_tensor("corners", corners), [None, 2, 2])
    check_real("corners", corners)
    check_int("size", size, minimum=1)
    for name, value in (("length", length), ("height", height)):
        if check_number(name, value) <= 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    points = corners.double()
    across = points[:, 1] - points[:, 0]
    distance = across.norm(dim=1)
    if not bool((distance > 0).all()):
        where = (distance <= 0).nonzero().flatten().tolist()
        raise ValueError(f"corners must be two points each, got one in rows {where}")
    along = across / distance[:, None]
    centre = points.mean(1)
    grid = torch.arange(size, dtype=torch.float64, device=corners.device)
    x = grid - centre[:, 0, None, None]  # [rows, 1, size]
    y = grid[:, None] - centre[:, 1, None, None]  # [rows, size, 1]
    cos, sin = along[:, 0, None, None], along[:, 1, None, None]
    far = distance[:, None, None] / 2
    inside: Tensor = ((x * cos + y * sin).abs() <= length * far) & (
        (y * cos - x * sin).abs() <= height * far
    )
    return inside.unsqueeze(1)


class CelebASmile(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Aligned faces of CelebA, whether they smile, and where the mouth is.

    Item i is an image float32 [3, 128, 128] from -1 to 1, its label (1: smiles), and the truth,
    bool [1, 128, 128].

    Parameters
    ----------
    folder : str or path
        Where ``img_align_celeba/`` and the files ``list_attr_celeba.txt``,
        ``list_landmarks_align_celeba.txt`` and ``list_eval_partition.txt`` lie.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``, as the last of these files has it.
    length, height : float
        Of the truth, see `mouth_box`.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If ``split`` is another word, or a file is of another form.
    ImportError
        When an image is read and pillow is not installed (the extra ``metrics``).

    References
    ----------
    .. [1] Z. Liu, P. Luo, X. Wang, X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
    .. [2] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023 (CelebA Smile).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: str = "train",
        *,
        length: float = 1.8,
        height: float = 1.0,
    ) -> None:
        number = _SPLITS.index(check_choice("split", split, _SPLITS))
        self.folder = Path(folder)
        self.length, self.height = length, height
        splits = dict(_lines(self.folder / "list_eval_partition.txt", header=False))
        smiles = _columns(self.folder / "list_attr_celeba.txt", ("Smiling",))
        mouths = _columns(self.folder / "list_landmarks_align_celeba.txt", _MOUTH)
        self.names = [name for name, parts in splits.items() if int(parts[0]) == number]
        missing = [name for name in self.names if name not in smiles or name not in mouths]
        if missing:
            raise ValueError(
                f"folder must hold attributes and landmarks of every image, got none of "
                f"{len(missing)}, the first {missing[0]!r}"
            )
        self.labels = torch.tensor([smiles[name][0] > 0 for name in self.names]).long()
        corners = torch.tensor([mouths[name] for name in self.names]).view(-1, 2, 2)
        self.corners = corners - torch.tensor([_LEFT, _TOP])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        with optional("images of CelebA need", "pillow>=10", "metrics"):
            from PIL import Image
        path = self.folder / "img_align_celeba" / self.names[index]
        with Image.open(path) as file:
            pixels = torch.from_numpy(np.array(file.convert("RGB")))
        cut = pixels[_TOP : _TOP + _SIZE, _LEFT : _LEFT + _SIZE]
        image = cut.permute(2, 0, 1).float() / 127.5 - 1
        corners = self.corners[index].unsqueeze(0)
        truth = mouth_box(corners, length=self.length, height=self.height)
        return image, self.labels[index], truth[0]


def _lines(path: Path, *, header: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the other words of each line after the header."""
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {path.name}, got {str(path.parent)!r}")
    for line in path.read_text(encoding="utf-8").splitlines()[2 if header else 0 :]:
        name, *parts = line.split()
        yield name, parts


def _columns(path: Path, wanted: tuple[str, ...]) -> dict[str, list[int]]:
    """Return some columns of a file whose second line names them."""
    found: dict[str, Any] = dict(_lines(path, header=True))
    names = path.read_text(encoding="utf-8").splitlines()[1].split()
    lacking = [name for name in wanted if name not in names]
    if lacking:
        raise ValueError(f"{path.name} must have the columns {lacking}, got {names}")
    places = [names.index(name) for name in wanted]
    return {name: [int(parts[place]) for place in places] for name, parts in found.items()}
