"""Networks to start with: for tables, images and text."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from pyxai._checks import check_int

__all__ = ["UNetSelector", "image_networks", "tabular_networks", "text_networks"]


def tabular_networks(
    n_features: int, n_outputs: int, *, n_groups: int | None = None, seed: int | None = None
) -> tuple[nn.Module, nn.Module]:
    """Return a predictor and a selector for rows of a table.

    Perceptrons with ReLU: n_features-200-200-n_outputs, and n_features-100-100-n_groups.

    Parameters
    ----------
    n_features : int
        Features of a row.
    n_outputs : int
        Classes, or values of a label.
    n_groups : int, optional
        Bits of a mask; default: one for each feature.
    seed : int, optional
        Of the weights; default: torch's own state.

    Returns
    -------
    tuple of Module
        Predictor and selector, ready for ``LEX(*networks)``.

    Examples
    --------
    >>> from pyxai.lex import LEX, tabular_networks
    >>> lex = LEX(*tabular_networks(11, 2, seed=0))
    """
    groups = n_features if n_groups is None else n_groups
    _check_sizes(n_features=n_features, n_outputs=n_outputs, n_groups=groups)
    with _weights_from(seed):
        predictor = _perceptron(n_features, 200, n_outputs)
        selector = _perceptron(n_features, 100, groups)
    return predictor, selector


def image_networks(
    shape: tuple[int, int, int],
    n_outputs: int,
    *,
    patch: int = 1,
    width: int = 32,
    seed: int | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Return a predictor and a selector for images.

    The predictor has blocks of two convolutions and a pooling; the selector is a `UNetSelector`.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width.
    n_outputs : int
        Classes, or values of a label.
    patch : int
        Side of the patches that the selector scores, in pixels; with ``groups=Patches(patch)``.
    width : int
        Channels of the first block.
    seed : int, optional
        Of the weights; default: torch's own state.

    Returns
    -------
    tuple of Module
        Predictor and selector.
    """
    channels, height, columns = (check_int("shape", size, minimum=1) for size in shape)
    _check_sizes(n_outputs=n_outputs, patch=patch, width=width)
    depth = max(1, (min(height, columns).bit_length() - 1) // 2)
    with _weights_from(seed):
        blocks: list[nn.Module] = []
        size = channels
        for level in range(depth):
            blocks += [*_double(size, width * 2**level), nn.AvgPool2d(2, ceil_mode=True)]
            size = width * 2**level
            height, columns = -(-height // 2), -(-columns // 2)
        head = [nn.Flatten(), nn.Linear(size * height * columns, 128), nn.ELU()]
        predictor = nn.Sequential(*blocks, *head, nn.Linear(128, n_outputs))
        selector = UNetSelector(channels, patch=patch, width=width, depth=depth)
    return predictor, selector


def text_networks(
    n_embedding: int, n_outputs: int, *, width: int = 64, seed: int | None = None
) -> tuple[nn.Module, nn.Module]:
    """Return a predictor and a selector for embedded words, ``[batch, words, n_embedding]``.

    Convolutions over three words; the predictor takes the largest over the words. With
    ``groups=Groups(torch.arange(words)[:, None])``, so that a word is kept or removed as a whole.

    Parameters
    ----------
    n_embedding : int
        Numbers of a word.
    n_outputs : int
        Classes, or values of a label.
    width : int
        Channels.
    seed : int, optional
        Of the weights; default: torch's own state.

    Returns
    -------
    tuple of Module
        Predictor and selector.
    """
    _check_sizes(n_embedding=n_embedding, n_outputs=n_outputs, width=width)
    with _weights_from(seed):
        predictor = nn.Sequential(
            _WordsLast(),
            nn.Conv1d(n_embedding, width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(width, n_outputs),
        )
        selector = nn.Sequential(
            _WordsLast(),
            nn.Conv1d(n_embedding, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, 1, 1),
            nn.Flatten(),
        )
    return predictor, selector


class UNetSelector(nn.Module):
    """A U-net that scores each patch of an image.

    Parameters
    ----------
    channels : int
        Of the image.
    patch : int
        Side of a patch, in pixels.
    width : int
        Channels of the first level; they double from level to level.
    depth : int
        Levels below the first.
    """

    def __init__(self, channels: int, *, patch: int = 1, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        _check_sizes(channels=channels, patch=patch, width=width, depth=depth)
        sizes = [width * 2**level for level in range(depth + 1)]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, patch, stride=patch), nn.ReLU(), *_double(width, width)
        )
        pairs = list(itertools.pairwise(sizes))
        self.down = nn.ModuleList(nn.Sequential(*_double(a, b)) for a, b in pairs)
        self.up = nn.ModuleList(nn.Sequential(*_double(a + b, a)) for a, b in reversed(pairs))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores ``[batch, patches]`` of images ``[batch, channels, height, width]``."""
        value = self.stem(images)
        passed = []
        for block in self.down:
            passed.append(value)
            value = block(nn.functional.avg_pool2d(value, 2, ceil_mode=True))
        for block in self.up:
            skip = passed.pop()
            value = nn.functional.interpolate(value, skip.shape[2:], mode="bilinear")
            value = block(torch.cat([skip, value], 1))
        return cast(Tensor, self.head(value)).flatten(1)


class _WordsLast(nn.Module):
    def forward(self, words: Tensor) -> Tensor:
        return words.transpose(1, 2)


class _weights_from:
    """Draw weights from a seed, and leave torch's state as found."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        if self.seed is not None:
            self.fork = torch.random.fork_rng(devices=[])
            self.fork.__enter__()
            torch.manual_seed(self.seed)

    def __exit__(self, *error: object) -> None:
        if self.seed is not None:
            self.fork.__exit__(*error)  # type: ignore[arg-type]


def _double(before: int, after: int) -> list[nn.Module]:
    """Return two convolutions over 3 x 3 pixels that leave the size as it is."""
    return [
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(),
    ]


def _perceptron(n_inputs: int, width: int, n_outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((n_inputs, width), (width, width), (width, n_outputs)):
        layer = nn.Linear(before, after)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.constant_(layer.bias, 0.01)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        check_int(name, size, minimum=1)
