"""Absent pixels take what a blur of the present ones gives."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number, describe
from pyxai.imputers.base import Imputer

__all__ = ["Blur", "blur_matrices", "blurred"]

_TRUNCATE = 4.0  # standard deviations, as in scipy.ndimage.gaussian_filter
_NOTHING = 1e-6  # share of a kernel below which no pixel is near


class Blur(Imputer):
    """Replace absent pixels by a weighted mean of the present pixels around them.

    ``u = G * (z x) / G * z``: a Gaussian kernel G over the pixels that are present (z = 1), each
    channel by itself. Unlike a blurred copy of the image, which shows what it should hide, it does
    not depend on absent pixels.

    Parameters
    ----------
    sigma : float
        Standard deviation of the kernel in pixels; it ends after four of these.
    fill : float
        In input units: where no pixel of the channel is present. Where there are some, but none in
        reach of the kernel, the mean of those that are present is taken.

    Raises
    ------
    ValueError
        If ``sigma`` is not positive.

    Notes
    -----
    For images [batch, channels, height, width]. Without chance: one row for each mask. The blur is
    two products of matrices for each mask, of height^2 x width and height x width^2
    multiplications, in float64.

    References
    ----------
    .. [1] H. Knutsson, C.-F. Westin, "Normalized and Differential Convolution", CVPR 1993.

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import Blur
    >>> x = torch.tensor([[[[1.0, 9.0, 3.0]]]])
    >>> shown = torch.tensor([[[[[True, False, True]]]]])
    >>> Blur(1.0).draw((x,), (shown,), seed=0, example_ids=torch.tensor([0]))[0][..., 1]
    tensor([[[[[2.]]]]])
    """

    conditional = True
    exact = True

    def __init__(self, sigma: float = 5.0, fill: float = 0.0) -> None:
        self.sigma, self.fill = check_number("sigma", sigma), check_number("fill", fill)
        if self.sigma <= 0:
            raise ValueError(f"sigma must be positive, got {sigma!r}")

    def check(self, inputs: tuple[Tensor, ...]) -> Blur:
        """Return itself if the inputs are images."""
        for value in inputs:
            if value.dim() != 4:
                raise ValueError(
                    "inputs must have shape [batch, channels, height, width] to be blurred, got "
                    f"{list(value.shape)}"
                )
            if not value.is_floating_point():
                raise TypeError(f"inputs must be floating point to be blurred, got {value.dtype}")
        return self

    def with_draws(self, n_draws: int) -> Blur:
        """Return itself: there is nothing to draw, and one row says all."""
        check_int("n_draws", n_draws, minimum=1)
        return self

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the weighted means, ``[batch, n_masks, 1, *feat]``."""
        if masks is None:
            raise TypeError(f"masks must be given, got {describe(masks)}")
        pairs = zip(inputs, masks, strict=True)
        return tuple(self._blurred(value, mask).unsqueeze(2) for value, mask in pairs)

    def _blurred(self, images: Tensor, present: Tensor) -> Tensor:
        sigmas = torch.tensor([self.sigma], dtype=torch.float64)
        rows, columns = (blur_matrices(sigmas, size).to(images.device) for size in images.shape[2:])
        shown = present.flatten(0, 1).double()
        kept = torch.where(present, images.detach().unsqueeze(1).double(), 0.0).flatten(0, 1)
        near = blurred(shown, rows, columns)[0]
        around = blurred(kept, rows, columns)[0] / near.clamp(min=_NOTHING)
        count = shown.sum((2, 3), keepdim=True)
        usual = kept.sum((2, 3), keepdim=True) / count.clamp(min=1)
        usual = torch.where(count > 0, usual, self.fill)
        found = torch.where(near > _NOTHING, around, usual)
        return found.view(present.shape).to(images.dtype)


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
