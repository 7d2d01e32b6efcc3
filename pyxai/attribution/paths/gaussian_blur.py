"""Gaussian blur of images as two products of matrices, zero outside of the image."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Blurs", "blur_matrices", "blur_sigmas", "blurred"]

_TRUNCATE = 4.0  # standard deviations, as in scipy.ndimage.gaussian_filter


def blur_matrices(sigmas: Tensor, size: int) -> Tensor:
    """Return the blur of a line of pixels for each standard deviation.

    Parameters
    ----------
    sigmas : Tensor, shape [n]
        Standard deviations in pixels, float64; 0 leaves the line as it is.
    size : int
        Pixels of the line.

    Returns
    -------
    Tensor, shape [n, size, size]
        float64. Kernels end after 4 standard deviations and sum to 1 there, so a row whose kernel
        reaches over the border sums to less.
    """
    radii = (_TRUNCATE * sigmas + 0.5).floor()
    reach = torch.arange(int(radii.max()) + 1, dtype=torch.float64)
    inside = reach <= radii[:, None]
    # Of a standard deviation of 0 only the middle is left.
    widths = torch.where(sigmas > 0, sigmas, 1)[:, None]
    kernels = (-0.5 * (reach / widths).square()).exp() * inside  # one half, from the middle
    kernels /= 2 * kernels.sum(1, keepdim=True) - 1
    places = torch.arange(size)
    distance = (places[:, None] - places).abs()
    padded = torch.nn.functional.pad(kernels, (0, max(0, size - kernels.shape[1])))
    return padded[:, distance]


def blurred(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Blur images, [batch, channels, H, W] -> [n, batch, channels, H, W].

    ``rows`` [n, H, H] and ``columns`` [n, W, W] come from `blur_matrices`.
    """
    wide = torch.einsum("nhi,bciw->nbchw", rows, images)
    return torch.einsum("nwj,nbchj->nbchw", columns, wide)


def blur_sigmas(max_sigma: float, n_steps: int, *, sqrt: bool = False) -> Tensor:
    """Return the standard deviations of a path of blurs, float64 [n_steps + 1], from 0."""
    sigmas = torch.arange(n_steps + 1, dtype=torch.float64) * max_sigma / n_steps
    return sigmas.sqrt() if sqrt else sigmas


class Blurs:
    """Images [batch, channels, H, W] at all standard deviations [n]."""

    def __init__(self, images: Tensor, sigmas: Tensor) -> None:
        self.images, self.wide, self.sigmas = images, images.double(), sigmas

    def matrices(self, sigmas: Tensor) -> tuple[Tensor, Tensor]:
        """Return the blurs of columns and of rows of pixels, see `blur_matrices`."""
        height, width = self.images.shape[2:]
        rows, columns = blur_matrices(sigmas, height), blur_matrices(sigmas, width)
        return rows.to(self.images.device), columns.to(self.images.device)

    def at(self, first: int, last: int | None = None, examples: slice = slice(None)) -> Tensor:
        """Return the images at some steps, [n, batch, channels, H, W], as the model sees them."""
        sigmas = self.sigmas[first : first + 1 if last is None else last]
        found = blurred(self.wide[examples], *self.matrices(sigmas))
        return found.to(self.images.dtype)
