"""Two images side by side, of which one decides the label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import check_int, check_real, check_tensor
from pyxai.datasets.images import check_images, digits
from pyxai.datasets.simulated import uniform_rows

__all__ = ["Panels", "switching_panels"]


@dataclass(frozen=True)
class Panels:
    """Pairs of images and the half that counts.

    Attributes
    ----------
    inputs : Tensor, shape [rows, channels, height, 2 * width]
    labels : Tensor, shape [rows]
    truth : Tensor, shape [rows, channels, height, 2 * width]
        bool: the half that holds the image with the label.
    """

    inputs: Tensor
    labels: Tensor
    truth: Tensor


def switching_panels(
    images: Tensor | None = None,
    labels: Tensor | None = None,
    others: Tensor | None = None,
    seed: int = 0,
) -> Panels:
    """Put each image beside another one; a coin decides which is on the left.

    Parameters
    ----------
    images : Tensor, shape [rows, channels, height, width], optional
        With labels. Default: the handwritten digits of scikit-learn.
    labels : Tensor, shape [rows], optional
        Of the images.
    others : Tensor, shape [rows, channels, height, width], optional
        Image i is put beside number i of these. Default: the images in another order, turned about
        their diagonal and with light and dark exchanged, so that no half looks like the other.
    seed : int
        Of the coins, and of that order.

    Returns
    -------
    Panels
        In the dtype of the images.

    Raises
    ------
    ValueError
        If shapes do not agree, or images come without labels or the other way round.
    TypeError
        If an argument is not a tensor.

    Notes
    -----
    With MNIST and Fashion-MNIST these are the paper's two tasks: ``switching_panels(*mnist(a),
    fashion_mnist(b)[0])`` asks for digits, ``switching_panels(*fashion_mnist(b), mnist(a)[0])`` for
    garments. Half of the pixels count, so a selection of a share r with false discovery rate f has
    the true positive rate ``2 r (1 - f)`` and the false positive rate ``2 r f``.

    References
    ----------
    .. [1] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023 (switching panels).

    Examples
    --------
    >>> import torch
    >>> from pyxai.datasets import switching_panels
    >>> ink = torch.zeros(5, 1, 2, 2)
    >>> switching_panels(ink, torch.arange(5), ink + 1).inputs.shape
    torch.Size([5, 1, 2, 4])
    """
    check_int("seed", seed, minimum=0)
    if (images is None) != (labels is None):
        given = "labels" if images is None else "images"
        raise ValueError(f"images and labels must be given together, got {given} alone")
    if images is None or labels is None:
        images, labels = digits()
    check_images("images", images)
    check_real("labels", check_tensor("labels", labels))
    if labels.shape[:1] != images.shape[:1]:
        raise ValueError(f"labels must have {len(images)} rows, got shape {list(labels.shape)}")
    if others is None:
        others = _exchanged(images, seed)
    check_images("others", others)
    if others.shape != images.shape:
        raise ValueError(f"others must have shape {list(images.shape)}, got {list(others.shape)}")
    is_left = uniform_rows(len(images), (1, 1, 1), seed) < 0.5
    others = others.to(images)
    ours, theirs = torch.ones_like(images, dtype=torch.bool), torch.zeros_like(images).bool()
    is_left = is_left.to(images.device)
    return Panels(
        torch.where(is_left, torch.cat([images, others], 3), torch.cat([others, images], 3)),
        labels,
        torch.where(is_left, torch.cat([ours, theirs], 3), torch.cat([theirs, ours], 3)),
    )


def _exchanged(images: Tensor, seed: int) -> Tensor:
    """Return the images in another order, turned, with light and dark exchanged."""
    if images.shape[2] != images.shape[3]:
        raise ValueError(
            f"others must be given unless images are square, got shape {list(images.shape)}"
        )
    order = uniform_rows(len(images), (), seed, 1).argsort(stable=True).to(images.device)
    return images.amax() + images.amin() - images[order].transpose(2, 3)
