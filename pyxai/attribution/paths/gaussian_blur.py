"""Images at the standard deviations of a path of blurs."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.imputers.blur import blur_matrices, blurred

__all__ = ["Blurs", "blur_sigmas"]


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
