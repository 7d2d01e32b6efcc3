"""Attributions of regions: segments of an image, in the order of what their pixels get."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_shape, check_tensor, describe
from pyxai._inputs import format_inputs
from pyxai.attribution._regions import grow_regions, image_segments
from pyxai.attribution.base import GradientAttribution, TensorOrTuple
from pyxai.attribution.integrated_gradients import IntegratedGradients

__all__ = ["XRAI"]


class XRAI(GradientAttribution):
    """XRAI: integrated gradients, gathered by overlapping segments of the image.

    Segments of several sizes are added one by one, always the one whose new pixels have the largest
    mean attribution; that mean is what these pixels get.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of images that autograd can differentiate.

    Notes
    -----
    Without ``segments`` images are segmented by scikit-image, the extra ``regions``.

    References
    ----------
    .. [1] A. Kapishnikov et al., "XRAI: Better Attributions Through Regions", ICCV 2019,
       algorithm 1; the segments are those of the authors' package ``saliency``.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import XRAI
    >>> halves = torch.tensor([[0, 0, 1, 1]])  # segments of an image of one line
    >>> model = lambda x: x[..., :2].sum((1, 2, 3))
    >>> image = torch.tensor([[[[1.0, 3.0, 5.0, 7.0]]]])
    >>> call = {"baselines": 0.0, "segments": halves, "min_pixels": 1}
    >>> XRAI(model).attribute(image, **call).round(decimals=5)
    tensor([[[[2., 2., 0., 0.]]]])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: a pixel gets the mean attribution of its region, in output units."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        segments: Any = None,
        n_steps: int = 50,
        min_pixels: int = 50,
        area: float = 1.0,
        internal_batch_size: int | None = None,
        *,
        attributions: Tensor | None = None,
    ) -> Any:
        """Return the mean attribution of the region of each pixel.

        Parameters
        ----------
        inputs : Tensor, shape [batch, channels, height, width]
            Images, of a floating dtype.
        baselines : float or Tensor, shape [*features] or [1 or batch, *features], optional
            Where the paths start; default: the mean of two, at the smallest and at the largest
            value of each image.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model; tensors with one row per example follow the examples.
        segments : Tensor, or list of Tensor with one for each example, optional
            Integers [height, width] or [batch, height, width], the number of each pixel's segment;
            or bool [n_segments, height, width], segments that may overlap. Default: six
            segmentations by the method of Felzenszwalb and Huttenlocher, made wider by 5 pixels.
        n_steps : int
            Number of nodes of integrated gradients (midpoints), for each baseline.
        min_pixels : int
            Segments that would add fewer pixels are left out.
        area : float
            Stop when regions cover more than this share of the image. All pixels that are left get
            the mean of their attributions.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        attributions : Tensor, shape of ``inputs``, optional
            Attributions to gather in place of integrated gradients.

        Returns
        -------
        Tensor, shape of ``inputs``
            Of the channels of a pixel the largest attribution counts, and all get the same. float64
            for float64 and float32 otherwise.

        Raises
        ------
        ValueError
            If the inputs are not images, or a shape, a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.
        ImportError
            If scikit-image is not installed and no segments are given.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        if len(tensors) != 1 or tensors[0].dim() != 4:
            shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
            raise ValueError(
                f"inputs must be images of shape [batch, channels, height, width], got {shapes}"
            )
        images = tensors[0]
        check_int("min_pixels", min_pixels, minimum=1)
        if not 0 < area <= 1:
            raise ValueError(f"area must be in (0, 1], got {area!r}")
        masks = [_masks(segments, row, images) for row in range(len(images))]
        if attributions is None:
            given = (target, additional_forward_args, n_steps, "midpoint", internal_batch_size)
            attributions = self._integrated(images, baselines, given)
        else:
            check_shape(
                "attributions", check_tensor("attributions", attributions), list(images.shape)
            )
        pixels = attributions.detach().amax(1).double()  # [batch, height, width]
        found = torch.stack(
            [
                grow_regions(row, each.to(row.device), min_pixels, area)
                for row, each in zip(pixels, masks, strict=True)
            ]
        )
        wide = images.dtype == torch.float64
        result = found.to(torch.float64 if wide else torch.float32)[:, None].repeat(
            1, images.shape[1], 1, 1
        )
        return (result,) if is_tuple else result

    def _integrated(self, images: Tensor, baselines: Any, given: tuple[Any, ...]) -> Tensor:
        """Return integrated gradients, averaged over the baselines."""
        explainer = IntegratedGradients(self.forward_func)
        if baselines is not None:
            only: Tensor = explainer.attribute(images, baselines, *given)
            return only
        flat = images.flatten(1)
        total: Tensor = torch.zeros((), device=images.device)
        for value in (flat.amin(1), flat.amax(1)):
            start = value.view(-1, 1, 1, 1).expand_as(images)
            total = total + explainer.attribute(images, start, *given)
        return total / 2


def _masks(segments: Any, row: int, images: Tensor) -> Tensor:
    """Return the segments of one image, bool [n_segments, height, width]."""
    if segments is None:
        return image_segments(images[row])
    batch, size = len(images), list(images.shape[2:])
    if isinstance(segments, (list, tuple)):
        if len(segments) != batch:
            raise ValueError(
                f"segments must hold one tensor for each of {batch} examples, "
                f"got {len(segments)} item(s)"
            )
        segments = segments[row]
    check_tensor("segments", segments)
    if segments.dtype == torch.bool:
        check_shape("segments", segments, [None, *size])
        overlapping: Tensor = segments
        return overlapping
    if segments.is_floating_point() or segments.is_complex():
        raise TypeError(f"segments must hold integers or be bool, got {describe(segments)}")
    if segments.dim() == 3:
        check_shape("segments", segments, [batch, *size])
        segments = segments[row]
    check_shape("segments", segments, size)
    apart: Tensor = segments.unique()[:, None, None] == segments
    return apart
