"""A small net that looks for a dahlia, and a picture made of what it has not seen.

scikit-learn ships two photographs, a temple above a lake and a dahlia. The net learns from their
left parts; the picture is made of the right ones: half a dahlia, set above the lake. So it is
known which pixels are the dahlia's.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyxai.demo.tasks import one_thread

__all__ = ["Scene", "train_finder"]

MIDDLE = 150  # column that parts what is learnt from what is not, of 320
CENTRE, RADIUS = (112, 152), 66  # of the dahlia
HORIZON, LEFT = 122, 18  # where the half dahlia stands in the picture
SIDE = 32  # of the pieces that the net learns from
BATCH = 50


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of known parts, and a net that was trained without them.

    Attributes
    ----------
    model : Module
        From pictures [batch, 3, height, width], 0 to 1, to the logit of a dahlia, [batch, 1].
    picture, plain : Tensor, shape [1, 3, height, width]
        The lake with half a dahlia above it, and without.
    dahlia : Tensor, bool, shape [height, width]
        Where the dahlia is.
    colour : Tensor, shape [1, 3, 1, 1]
        The mean colour of what the net was trained on.
    accuracy : float
        On pieces of the right parts.
    n_train : int
        Pieces that it was trained on.
    """

    model: nn.Module
    picture: Tensor
    plain: Tensor
    dahlia: Tensor
    colour: Tensor
    accuracy: float
    n_train: int


def train_finder(seed: int, *, n_train: int = 1200, epochs: int = 5) -> Scene:
    """Train on pieces of the left parts of both photographs, and put the picture together.

    Parameters
    ----------
    seed : int
        Decides the pieces, the initial weights and the order; the global generator is left alone.
    n_train, epochs : int
        How many pieces, and how often each is seen.

    Returns
    -------
    Scene
    """
    temple, flower = _photograph("china.jpg"), _photograph("flower.jpg")
    colour = torch.cat([temple[..., :MIDDLE], flower[..., :MIDDLE]], 2).mean((1, 2), keepdim=True)
    draw = torch.Generator().manual_seed(seed)
    left = _Pieces(temple[..., :MIDDLE], flower[..., :80], _half_dahlia(flower, left=True), draw)
    right = _Pieces(
        temple[..., MIDDLE:], flower[:, :180, 225:], _half_dahlia(flower, left=False), draw
    )
    train, unseen = left.labelled(n_train), right.labelled(400)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        model = _trained(_Finder(colour), *train, epochs)
        with torch.no_grad():
            hits = (model(unseen[0])[:, 0] > 0) == unseen[1].bool()
    picture, plain, dahlia = _composed(temple, flower)
    accuracy = float(hits.double().mean())
    return Scene(model, picture, plain, dahlia, colour[None], accuracy, n_train)


class _Finder(nn.Module):
    """Three convolutions, the mean over all places, and one logit: for pictures of any size."""

    colour: Tensor

    def __init__(self, colour: Tensor) -> None:
        super().__init__()
        self.register_buffer("colour", colour)
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 5),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(12, 24, 3),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(24, 24, 3),
            nn.ReLU(),
        )
        self.head = nn.Linear(24, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logit of a dahlia, [batch, 1]."""
        logits: Tensor = self.head(self.features(pictures - self.colour).mean((2, 3)))
        return logits


@dataclass(frozen=True)
class _Pieces:
    """Draws pieces of scenery in which lies a piece of the dahlia, or of other scenery.

    So the net cannot tell the two by a seam.
    """

    temple: Tensor
    leaves: Tensor
    dahlia: Tensor
    draw: torch.Generator

    def labelled(self, count: int) -> tuple[Tensor, Tensor]:
        """Return pieces [count, 3, side, side], every other one with dahlia, and their labels."""
        labels = torch.arange(count) % 2
        pieces = []
        for label in labels.tolist():
            below, above = self._scenery(), self._of(self.dahlia, 20) if label else self._scenery()
            pieces.append(torch.where(self._disc(), above, below))
        return torch.stack(pieces), labels.float()

    def _scenery(self) -> Tensor:
        return self._of(self.leaves if self._below(2) else self.temple, 20)

    def _of(self, image: Tensor, least: int) -> Tensor:
        """Return a square of an image of random size and place, turned, at the common size."""
        side = least + self._below(min(image.shape[1:]) - least)
        top, left = (self._below(size - side + 1) for size in image.shape[1:])
        square = image[:, top : top + side, left : left + side]
        square = nn.functional.interpolate(square[None], SIDE, mode="bilinear", antialias=True)[0]
        square = square.rot90(self._below(4), (1, 2))
        return square.flip(2) if self._below(2) else square

    def _disc(self) -> Tensor:
        radius = 7 + self._below(SIDE // 2)
        return _disc((SIDE, SIDE), (self._below(SIDE), self._below(SIDE)), radius)

    def _below(self, bound: int) -> int:
        return int(torch.randint(bound, (), generator=self.draw))


def _photograph(name: str) -> Tensor:
    """Return one of scikit-learn's photographs at half its size, [3, 213, 320], from 0 to 1."""
    image = importlib.import_module("sklearn.datasets").load_sample_image(name)
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
    return nn.functional.avg_pool2d(pixels[None], 2)[0]


def _disc(shape: tuple[int, int], centre: tuple[int, int], radius: int) -> Tensor:
    """Return which pixels lie within a circle, bool [height, width]."""
    rows, columns = (torch.arange(size) for size in shape)
    far = (rows - centre[0]).square()[:, None] + (columns - centre[1]).square()
    return far < radius * radius


def _half_dahlia(flower: Tensor, *, left: bool) -> Tensor:
    """Return a square in which there is nothing but one half of the dahlia."""
    (row, column), reach = CENTRE, 47  # half a side of the largest square within the circle
    columns = slice(column - reach, MIDDLE) if left else slice(column, column + reach)
    return flower[:, row - reach : row + reach, columns]


def _composed(temple: Tensor, flower: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lake with the right half of the dahlia above it, without it, and where it is."""
    (row, column), size = CENTRE, RADIUS + 2
    rows, columns = slice(row - size, row + size), slice(column, column + size)
    disc = _disc((temple.shape[1], temple.shape[2]), CENTRE, RADIUS)[rows, columns]
    # Turned, so that the cut lies on the horizon.
    half, disc = flower[:, rows, columns].rot90(1, (1, 2)), disc.rot90(1, (0, 1))
    plain = temple[..., MIDDLE:]
    dahlia = torch.zeros(plain.shape[1:], dtype=torch.bool)
    dahlia[HORIZON - size : HORIZON, LEFT : LEFT + 2 * size] = disc
    picture = plain.clone()
    picture[:, dahlia] = half[:, disc]
    return picture[None], plain[None], dahlia


def _trained(model: nn.Module, pieces: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(pieces)), BATCH):
            optimiser.zero_grad()
            logits = model(pieces[rows])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[rows])
            torch.autograd.backward(loss)
            optimiser.step()
    return model.eval().requires_grad_(False)
