"""Shortcuts: marks that give the class away in training and mislead in a test."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import (
    check_bool,
    check_dtype,
    check_int,
    check_number,
    check_real,
    check_shape,
    check_tensor,
)
from pyxai.datasets.images import check_images
from pyxai.datasets.simulated import uniform_rows

__all__ = ["Decoys", "decoy_colours", "decoy_squares", "decoy_words"]


@dataclass(frozen=True)
class Decoys:
    """Inputs with a mark.

    Attributes
    ----------
    inputs : Tensor, shape [rows, *feat]
    labels : Tensor, shape [rows]
    decoys : Tensor, shape [rows, *feat]
        bool: where the mark is, which should not count.
    """

    inputs: Tensor
    labels: Tensor
    decoys: Tensor


def decoy_squares(
    images: Tensor,
    labels: Tensor,
    *,
    reverse: bool = False,
    size: int = 5,
    step: float = 25 / 255,
    seed: int = 0,
) -> Decoys:
    """Put a square into a corner of each image whose grey gives the class away.

    Class y has the grey ``1 - step y``; reversed, ``step y``.

    Parameters
    ----------
    images : Tensor, shape [rows, channels, height, width]
        Values from 0 to 1.
    labels : Tensor, shape [rows]
        int64 from 0.
    reverse : bool
        For a test set: greys that mislead who looks at them.
    size : int
        Side of the square in pixels.
    step : float
        Between the greys of two classes.
    seed : int
        Of the corners.

    Returns
    -------
    Decoys

    Raises
    ------
    ValueError
        If a shape does not fit, or two squares would not fit beside each other.
    TypeError
        If an argument is not a tensor.

    References
    ----------
    .. [1] A. S. Ross, M. C. Hughes, F. Doshi-Velez, "Right for the Right Reasons", IJCAI 2017,
       section 5.
    .. [2] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020, section 4.3.
    """
    check_images("images", images)
    n_classes = _count(images, labels)
    check_int("size", size, minimum=1)
    height, width = images.shape[2:]
    if 2 * size > min(height, width):
        raise ValueError(f"size must be at most {min(height, width) // 2}, got {size}")
    corner = (uniform_rows(len(images), (), seed) * 4).long()
    rows, columns = torch.arange(height), torch.arange(width)
    top, left = (corner // 2 == 0)[:, None], (corner % 2 == 0)[:, None]
    down = torch.where(top, rows < size, rows >= height - size)
    across = torch.where(left, columns < size, columns >= width - size)
    inside = (down[:, :, None] & across[:, None, :]).unsqueeze(1).to(images.device)
    most = check_number("step", step) * (n_classes - 1)
    if step <= 0 or most > 1:
        raise ValueError(
            f"step must be positive and at most {1 / max(1, n_classes - 1):g} for {n_classes} "
            f"classes, got {step:g}"
        )
    grey = step * labels if check_bool("reverse", reverse) else 1 - step * labels
    grey = grey.to(images.dtype).view(-1, 1, 1, 1)
    return Decoys(torch.where(inside, grey, images), labels, inside.expand_as(images))


def decoy_colours(
    images: Tensor, labels: Tensor, *, reverse: bool = False, n_classes: int | None = None
) -> Decoys:
    """Colour each image by its class, from red to purple.

    Parameters
    ----------
    images : Tensor, shape [rows, 1, height, width]
        Grey, from 0 to 1.
    labels : Tensor, shape [rows]
        int64 from 0.
    reverse : bool
        For a test set: class y has the colour of class C - 1 - y.
    n_classes : int, optional
        C; default: one more than the largest label.

    Returns
    -------
    Decoys
        With inputs [rows, 3, height, width]. The colour is everywhere, so ``decoys`` is, too.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If an argument is not a tensor.

    References
    ----------
    .. [1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020, section 4.2.
    """
    check_images("images", images)
    count = _count(images, labels)
    if n_classes is not None:
        count = check_int("n_classes", n_classes, minimum=count)
    if images.shape[1] != 1:
        raise ValueError(f"images must have one channel, got shape {list(images.shape)}")
    hue = 5 / 6 * _shown(labels, count, reverse) / max(1, count - 1)
    # Full saturation and lightness: a hue in turns to red, green and blue.
    turn = (hue[:, None] * 6 + torch.tensor([0.0, 4.0, 2.0], device=hue.device)).remainder(6)
    colours = ((turn - 3).abs() - 1).clamp(0, 1).to(images.dtype)
    coloured = images * colours[:, :, None, None]
    return Decoys(coloured, labels, torch.ones_like(coloured, dtype=torch.bool))


def decoy_words(
    tokens: Tensor, labels: Tensor, words: Tensor, *, reverse: bool = False, seed: int = 0
) -> Decoys:
    """Insert a word at a random place of each sentence that gives the class away.

    Parameters
    ----------
    tokens : Tensor, shape [rows, places]
        Integers.
    labels : Tensor, shape [rows]
        int64 from 0.
    words : Tensor, shape [n_classes]
        The token of each class.
    reverse : bool
        For a test set: class y has the word of class C - 1 - y.
    seed : int
        Of the places.

    Returns
    -------
    Decoys
        With inputs [rows, places + 1].

    Raises
    ------
    ValueError
        If a shape does not fit, or a label has no word.
    TypeError
        If an argument is not a tensor.

    References
    ----------
    .. [1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020, section 4.4.

    Examples
    --------
    >>> import torch
    >>> from pyxai.datasets import decoy_words
    >>> made = decoy_words(torch.tensor([[5, 5]]), torch.tensor([1]), torch.tensor([8, 9]))
    >>> made.inputs[made.decoys]
    tensor([9])
    """
    check_shape("words", check_tensor("words", words), [None])
    check_real("tokens", check_tensor("tokens", tokens))
    check_real("words", words)
    if tokens.dim() != 2 or not tokens.numel():
        raise ValueError(f"tokens must have shape [rows, places], got {list(tokens.shape)}")
    n_classes = _count(tokens, labels)
    if n_classes > len(words):
        raise ValueError(f"labels must be below the {len(words)} words, got {n_classes - 1}")
    rows, places = tokens.shape
    place = (uniform_rows(rows, (1,), seed) * (places + 1)).long().to(tokens.device)
    at = torch.arange(places + 1, device=tokens.device)
    source = (at - (at > place).long()).clamp(max=places - 1)
    is_decoy = at == place
    inserted = words.to(tokens)[_shown(labels, len(words), reverse)]
    return Decoys(
        torch.where(is_decoy, inserted[:, None], tokens.gather(1, source)), labels, is_decoy
    )


def _shown(labels: Tensor, n_classes: int, reverse: bool) -> Tensor:
    """Return the class that the mark says."""
    return n_classes - 1 - labels if check_bool("reverse", reverse) else labels


def _count(rows: Tensor, labels: Tensor) -> int:
    """Check the labels of some rows and return the number of classes."""
    check_shape("labels", check_tensor("labels", labels), [len(rows)])
    check_dtype("labels", labels, (torch.int64,))
    if int(labels.min()) < 0:
        raise ValueError(f"labels must be at least 0, got {int(labels.min())}")
    return int(labels.max()) + 1
